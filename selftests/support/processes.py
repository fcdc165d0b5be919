"""The environment of a process that a test starts."""

import os

#: How many workers share the machine: whoever knows it takes no more than its part of the cores. Two
#: children with the threads of both cores take several times as long as two with one each.
_SHARED = "PYTEST_XDIST_WORKER_COUNT"


def environment(*without: str) -> dict[str, str]:
    """This process's environment but for what its own run put there, and names that begin like these."""
    begins = ("PYTEST_", *without)
    return {k: v for k, v in os.environ.items() if k == _SHARED or not k.startswith(begins)}
