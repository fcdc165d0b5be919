"""Ports in processes of their own that tests bring, by the adapter of the documents, spoiled or not."""

import shlex
import sys

from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.ports.command import from_command
from dinov3_parity.parity.families import VARIANTS

from selftests.conftest import ROOT
from selftests.support.stages.brought import PORT

ADAPTER = ROOT / "docs" / "examples" / "process_port.py"

#: What is at hand for who spoils a port: the adapter itself is ``__main__``.
_AT_HAND = "import os, sys, time\nimport __main__\nimport numpy as np\nsave = np.save\n"


def command(folder, lines="word = 1", before=""):
    """What starts the example of a port with some lines in its class, and others before it."""
    body = "".join(f"    {line}\n" for line in lines.split("\n"))
    (folder / "port.py").write_text(f"{_AT_HAND}{before}\n{PORT}{body}")
    return shlex.join([sys.executable, str(ADAPTER), f"{folder / 'port.py'}:Port"])


def opened(folder, lines="word = 1", before="", bound=60.0):
    """Such a port on two blocks of vits16."""
    part = BlockSubset(Synthetic(VARIANTS["vits16"]), (0, 6))
    port = from_command(command(folder, lines, before), bound=bound)
    return port.opened(part.variant, part)
