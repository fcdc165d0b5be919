"""What alignment looks at: small inputs with Meta's own values at every tap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from dinov3_parity.parity.alignment.layouts import Words
from dinov3_parity.parity.families.base import Family, Place, Variant
from dinov3_parity.parity.inputs.drawn import Input

Key = tuple[Place, str]


@dataclass(frozen=True)
class Sample:
    """One input with Meta's float32 at every tap of every place, each place fed Meta's own input."""

    variant: Variant
    family: Family
    drawn: Input
    images: np.ndarray
    meta: Mapping[Key, np.ndarray] = field(repr=False)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """As ``sizes_of`` has them."""
        return sizes_of(self.family, self.variant, self.drawn.batch, self.drawn.grid)


def sizes_of(family: Family, variant: Any, batch: int, grid: tuple[int, int]) -> dict[str, int]:
    """The length of every atom of an axis; primed it is the second axis of the kind, the keys' N."""
    sizes = family.atoms(variant, batch, grid)
    return sizes | {f"{atom}'": length for atom, length in sizes.items()}


def words_of(family: Family, variant: Any, tap: str) -> Words:
    """A tap's axes, in words, each in atoms."""
    table = family.taps[tap]
    axes: list[tuple[str, ...]] = []
    for axis in (family.finer(table, word) for word in table.shape):
        axes.append(tuple(f"{atom}'" for atom in axis) if axis in axes else axis)
    return Words(tuple(axes))
