"""Heatmaps: the strongest ratio of every block and tap over all inputs, one grid a stage and mode."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL, Measurement

_ORDER = {name: index for family in FAMILIES.values() for index, name in enumerate(family.taps)}

#: Up to the limit in fifths of it, beyond in steps that are this many times the limit.
FIFTHS, STEPS = 5, (1, 3, 30, 1e3, 1e5)


def level(share: float) -> str:
    """The colour of a ratio in units of its limit: ``l0`` to ``l4`` within, ``o0`` to ``o4`` over."""
    if share <= 1:
        return f"l{min(FIFTHS - 1, int(share * FIFTHS))}"
    return f"o{sum(share > step for step in STEPS) - 1}"


#: The colour of a known departure.
KNOWN = "k"


def colour(m: Measurement) -> str:
    """The colour of a comparison."""
    return KNOWN if m.known else level(m.strength)


def telling(m: Measurement) -> tuple[bool, float]:
    """What sorts the comparison last that a place is shown by: the strongest, of those that fail where
    any does."""
    return m.failed, m.strength


def key() -> list[tuple[str, str]]:
    """The colours of ratios and what they mean."""
    within = [(f"l{i}", f"≤ {(i + 1) / FIFTHS:g}") for i in range(FIFTHS)]
    names = ("3", "30", "10³", "10⁵")
    over = [*(f"≤ {n}" for n in names), "> 10⁵"]
    return within + [(f"o{i}", words) for i, words in enumerate(over)]


def grids(found: Sequence[Measurement]) -> list[dict[str, Any]]:
    """One grid a mode that was measured, of one stage: a row a block, a column a tap, and the taps
    outside the blocks."""
    return [
        _grid(mode, own)
        for mode in (LOCAL, ISOLATED, CHAINED)
        if (own := [m for m in found if m.mode == mode])
    ]


def _grid(mode: str, found: list[Measurement]) -> dict[str, Any]:
    cells: dict[tuple[int | None, str], list[Measurement]] = defaultdict(list)
    for m in found:
        cells[m.block, m.tap].append(m)

    def columns(inside: bool) -> list[str]:
        names = {tap for block, tap in cells if (block is not None) == inside}
        return sorted(names, key=_ORDER.__getitem__)

    blocks = sorted({block for block, _ in cells if block is not None})
    inside = columns(True)
    return {
        "mode": mode,
        "block_taps": inside,
        "rows": [(i, [_cell(cells.get((i, tap))) for tap in inside]) for i in blocks],
        "ends": [(tap, _cell(cells[None, tap])) for tap in columns(False)],
        "failed": sum(m.failed for m in found),
        "known": any(m.known for m in found),
    }


def _cell(found: list[Measurement] | None) -> dict[str, Any] | None:
    """The strongest measurement of one block and tap over all inputs, and how it is coloured."""
    if not found:
        return None
    worst = max(found, key=telling)
    return {
        "text": figure(worst),
        "level": colour(worst),
        "block": worst.block,
        "tap": worst.tap,
    }


def figure(m: Measurement) -> str:
    """The ratio over the whole tensor, or over the worst token where that alone is too large."""
    if m.problem:
        return m.problem.split(":")[0].split(" at ")[0]
    if m.ratio is None:
        return "∞"
    by_token = m.ratio <= m.limit and m.token_ratio is not None and m.token_ratio > m.token_limit
    return f"{short(m.token_ratio)}ᵗ" if by_token else short(m.ratio)


def short(value: float) -> str:
    """Three characters or so: ``0.97``, ``12``, ``580``, ``1e6``."""
    if not math.isfinite(value):
        return "∞"
    if value < 9.95:
        return f"{value:.2f}"
    return (
        f"{value:.0f}" if value < 999.5 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    )
