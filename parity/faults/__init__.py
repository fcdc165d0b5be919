"""The fault catalogue: what porters of DINOv3 get wrong, one record a mistake.

A fault says what was done wrong, at which tap it must first show, and on which inputs it cannot
show. Its ``edit`` is the wrong thing itself, on arrays and from outside: no stage knows of it. How
it gets into a stage's weights, modules or files is ``fixtures.faults.injection``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any

from dinov3_parity.parity.inputs.drawn import Input


class Site(StrEnum):
    """What an edit gets hold of, and what it is called with."""

    WEIGHTS = "weights"  # edit(weights by Meta's names, variant), in place
    IMAGES = "images"  # edit(images (B, 3, H, W)) -> images
    TOKENS = "tokens"  # edit(tokens (B, N, D), weights, variant, grid) -> tokens
    TABLES = (
        "tables"  # edit(periods (d/4,), rows, columns) -> angles (P, d), or sin and cos of them
    )
    HEAD = "head"  # edit(taps of the head, tokens (B, N, D), variant) -> taps of the head
    VALUE = "value"  # edit(value at the fault's tap, batch first or not, variant) -> value
    NORM = "norm"  # edit(x (..., D), weight, bias, eps) -> y, for the blocks' norms or the last
    ROTATE = "rotate"  # edit(rotate, x (..., N, d), sin, cos, "q" or "k") -> x
    ACTIVATION = "activation"  # edit(x) -> y, in the place of GELU or SiLU


#: Inputs on which a fault may not show, by why.
HIDDEN: Mapping[str, Callable[[Input], bool]] = MappingProxyType(
    {
        "": lambda drawn: False,
        "one patch": lambda drawn: drawn.grid == (1, 1),
        "one image": lambda drawn: drawn.batch == 1,
        "a square": lambda drawn: drawn.grid[0] == drawn.grid[1],
        "one row or column": lambda drawn: 1 in drawn.grid,
        "one colour": lambda drawn: drawn.content == "constant",
        "patches of one colour": lambda drawn: drawn.content in ("constant", "checkerboard"),
        "a small image": lambda drawn: drawn.scale < 1,
    }
)


@dataclass(frozen=True)
class Fault:
    """One realistic mistake.

    ``tap`` is where it must first show, in ``block`` (the first it touches, -1 the last; None
    outside the blocks); ``hidden`` names the inputs of ``HIDDEN`` on which it may not.
    """

    name: str
    words: str
    site: Site
    tap: str
    edit: Callable[..., Any]
    block: int | None = None
    hidden: str = ""
    ffn: str = ""  # only where the FFN is of this kind; "" is every variant
    needs: str = ""  # what a variant must have: "qkv_bias" or "local_cls_norm"
    depth: int = 2  # blocks that a model must have for the mistake to be made
    keyed: bool = (
        False  # its edit draws by a ``key``, 0 unless told: other numbers with another key
    )
    known: str = ""  # whose ports are known to make it, in words
    why: str = ""  # why no input can tell it from rounding; "" for one that must be found

    def applies(self, variant: Any) -> bool:
        """Whether one can make this mistake with a variant."""
        has = not self.needs or getattr(variant, self.needs)
        return self.ffn in ("", variant.ffn) and has and variant.depth >= self.depth

    def first_block(self, variant: Any) -> int | None:
        """The first block it touches; None outside the blocks."""
        return self.block if self.block is None or self.block >= 0 else variant.depth + self.block

    def by_key(self, key: int) -> Fault:
        """The same mistake of a run with another random key; of a fault that is ``keyed``."""
        return replace(self, edit=partial(self.edit, key=key))

    def hides_on(self, drawn: Input) -> bool:
        """Whether it may not show on an input."""
        return HIDDEN[self.hidden](drawn)


def catalogue() -> dict[str, Fault]:
    """Every fault that must be found, by name: of the ends, of the weights, of what is called."""
    from dinov3_parity.parity.faults import calls, ends, weights

    every: tuple[Any, ...] = (*ends.FAULTS, *weights.FAULTS, *calls.FAULTS)
    return {fault.name: fault for fault in every}


def like_rounding() -> dict[str, Fault]:
    """The mistakes that no input can tell from rounding, by name."""
    from dinov3_parity.parity.faults import rounding

    every: tuple[Any, ...] = rounding.FAULTS
    return {fault.name: fault for fault in every}
