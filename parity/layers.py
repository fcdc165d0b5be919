"""The layers of the suite, lowest first: a failure in one explains those after it.

A layer is the module ``test_<name>.py`` beside this one. Selection, the order of the tests, which
variants run, which inputs, and the README's table derive from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: Which variants a layer runs on.
WHOLE = "whole"  # those whose stages hold the whole model
LARGE = "large"  # some blocks of the others, or all
EVERY = "every"  # those, and of the others the model of the first block
FILE = "file"  # of the others with every block, those whose whole model goes into one file


@dataclass(frozen=True)
class Layer:
    """``holds`` says what it holds a stage to; ``on`` which variants it runs on; ``drawn`` whether its
    inputs are those of the run, so that one of them can be repeated: else it has its own, or none."""

    name: str
    holds: str
    on: str = WHOLE
    drawn: bool = False


_ROWS = (
    Layer(
        "checkpoint",
        "names, shapes, dtypes, finite values, the masked k bias, bfloat16 periods",
        EVERY,
    ),
    Layer("reference", "Meta's float32 is a usable standard at every tap", drawn=True),
    Layer(
        "conversion",
        "every parameter comes bit-equal from the stage before; nothing left over",
        EVERY,
    ),
    Layer(
        "local",
        "each operation alone, on Meta's own values before it: every fault at once, none masked",
        drawn=True,
    ),
    Layer("primitives", "patch embedding, tokens, rope tables, final norm", drawn=True),
    Layer(
        "blocks",
        "each block alone on Meta's own input: a fault shows in its own place",
        drawn=True,
    ),
    Layer("backbone", "the chain, each stage on its own output", drawn=True),
    Layer(
        "whole",
        "the whole model as its users call it: all that it returns, on every input and on larger ones",
        drawn=True,
    ),
    Layer(
        "metamorphic",
        "its own answers among one another: twice, in other orders, image by image, made anew",
    ),
    Layer(
        "outputs",
        "of an ONNX file: each output is what it is recognised as, on every size and batch",
        EVERY,
        drawn=True,
    ),
    Layer(
        "streamed", "of the large variants: each block alone, and the chain, on one image", LARGE
    ),
    Layer(
        "runtime",
        "the exported files as they are and tapped copies of them: static, dynamic batch, every size",
    ),
    Layer("release", "the workflow's acceptance: CLS and pooled patches of the whole model"),
    Layer(
        "external",
        "of large variants, with every block: the whole model in one file, its weights beside it",
        FILE,
    ),
)

LAYERS: Mapping[str, Layer] = MappingProxyType({layer.name: layer for layer in _ROWS})


def rank(name: str) -> int:
    """Where a layer stands; after all of them for a name that is none."""
    return list(LAYERS).index(name) if name in LAYERS else len(LAYERS)


def table() -> str:
    """The layers as the README has them."""
    rows = "".join(f"| `{layer.name}` | {layer.holds} |\n" for layer in LAYERS.values())
    return f"| layer | what it holds a stage to |\n| --- | --- |\n{rows}"
