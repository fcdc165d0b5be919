"""The exceptions that are meant for the reader rather than for a debugger."""


class ParityError(Exception):
    """A condition the user can act on, told in one paragraph that says what to do.

    The pytest wiring and the command line print the message alone, without a traceback.
    """


class PortFailure(ParityError):
    """What a port itself did wrong: its code raised, its process crashed or hung, or it returned what no
    stage returns. That is a result of a run, and no reason why it could not be done."""
