"""A failure in a small picture: which tokens of the image, which heads or channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from dinov3_parity.parity.breakdown import stands_out
from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.records.measurement import Measurement

_NUMBERS = 8 * 16  # up to that many patches are drawn as numbers, larger grids as shades
_SHADES = " ·░▒▓█"


def draw(variant: Variant, worst: Measurement, breakdown: Mapping[str, Any]) -> str:
    """Lines that show where at a tap a failed measurement was wrong, from its breakdown.

    Ratios are of each token to its own floor, for the image that holds the worst one.
    """
    family = family_of(variant)
    parts = family.split(variant, family.taps[worst.tap], breakdown["tokens"])
    image = breakdown["image"]  # none of what all images share, as rope's tables
    of = f", image {image + 1} of {worst.batch}" if worst.batch > 1 and image is not None else ""
    lines = [f"Ratio of each token, limit {worst.token_limit:g}, on {worst.input}{of}:"]
    if not parts:
        lines.append(f"  {worst.tap} {_number(breakdown['tokens'][0])}")
    for name, ratios in parts.items():
        if name == "patches":
            lines += _patches(np.array(ratios, float).reshape(worst.grid), worst.token_limit)
        else:
            lines.append(f"  {name} {' '.join(map(_number, ratios))}")
    for name, axis in breakdown["along"].items():
        if not stands_out(axis):
            continue
        share = f"{100 * axis['share']:.0f} % of the squared error"
        lines.append(f"  {name} {axis['worst']} of {axis['size']} holds {share}")
    return "\n".join(lines)


def _number(ratio: float | None) -> str:
    if ratio is None or math.isinf(ratio):
        return "∞"
    return f"{ratio:.2g}" if ratio < 1000 else f"{ratio:.0e}".replace("e+0", "e")


def _patches(ratios: np.ndarray, limit: float) -> list[str]:
    """Rows of numbers or shades; an unknown ratio is NaN, beyond every number."""
    rows, columns = ratios.shape
    known = np.nan_to_num(ratios, nan=math.inf)
    if ratios.size <= _NUMBERS and columns <= 16:
        cells = [[_number(value) for value in row] for row in known]
        width = max(len(cell) for row in cells for cell in row)
        drawn = [" ".join(cell.rjust(width) for cell in row) for row in cells]
        return [f"  patches {rows}×{columns}", *(f"    {row}" for row in drawn)]
    steps = np.log2(np.maximum(known / limit, 1e-30)) + 2  # half the limit draws the first shade
    shades = [["".join(_SHADES[int(np.clip(s, 0, 5))]) for s in row] for row in steps]
    key = "from half the limit, each shade twice the one before"
    return [f"  patches {rows}×{columns}, {key}", *(f"    |{''.join(row)}|" for row in shades)]
