"""The one exception that is meant for the reader rather than for a debugger."""


class ParityError(Exception):
    """A condition the user can act on, told in one paragraph that says what to do.

    The pytest wiring and the command line print the message alone, without a traceback.
    """
