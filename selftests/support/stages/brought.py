"""Ports that tests bring: right ones, spoiled ones, and what is said of them."""

from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports import ports
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.drawn import Input

from selftests.conftest import ROOT

NUMPY = "docs/examples/numpy_port.py:NumPyPort"
ONE = Input(1, (1, 1), 0)

#: A whole port, to be spoiled in one place.
PORT = f"""
import sys
sys.path.insert(0, {str(ROOT / "docs" / "examples")!r})
from numpy_port import NumPyPort

class Port(NumPyPort):
    name = "mine"
"""

#: A port whose GELU goes by tanh, as some frameworks have it by default.
TANH = f"""{PORT}
import numpy as np
import numpy_port

def by_tanh(half):
    x = half * np.float32(2**0.5)
    return np.tanh(np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3))

numpy_port.erf = by_tanh
"""


def given(folder, body, name="port.py", attribute="Port"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    return f"{path}:{attribute}"


def spoiled(folder, lines):
    return given(folder, PORT + "".join(f"    {line}\n" for line in lines.split("\n")))


def in_a_paragraph(told):
    text = str(told)
    assert "\n" not in text and "Traceback" not in text and 20 < len(text) < 1500, text
    return text


def opened(folder, store, lines, streamed=False):
    variant = VARIANTS["vits16"]
    part = BlockSubset(Synthetic(variant), (0, 6))
    port = ports.from_words(spoiled(folder, lines))
    return Pipeline(part.variant, part, store, (port,), streamed=streamed).stage(port.name)
