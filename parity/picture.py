"""A failure in a small picture: which tokens of the image, which heads or channels."""

from __future__ import annotations

import numpy as np

from parity.measurements import Measurement
from parity.taps import TAPS
from parity.variants import Variant
from parity.yardstick import Standard, errors_by_token

_NUMBERS = 8 * 16  # up to that many patches are drawn as numbers, larger grids as shades
_SHADES = " ·░▒▓█"


def draw(variant: Variant, worst: Measurement, standard: Standard, shown) -> str:
    """Lines that show where at a tap a failed measurement was wrong; "" where nothing compares.

    Ratios are of each token to its own floor, for the image that holds the worst one.
    """
    if worst.problem:
        return ""
    values = shown[worst.tap]
    ratios = errors_by_token(standard, values) / standard.floor.tokens
    words = TAPS[worst.tap].shape
    lines = [f"Ratio of each token, limit {worst.token_limit:g}, on {worst.input}"]
    if "B" in words:
        if ratios.shape[0] > 1:
            lines[0] += f", image {worst.token[0] + 1} of {ratios.shape[0]}"
        ratios = ratios[worst.token[0]]
    lines[0] += ":"
    axes = {"N": variant.prefix, "P": 0, "R": None}
    kind = next((word for word in words if word in axes), "")
    if not kind:
        lines.append(f"  {worst.tap} {_number(float(ratios))}")
    else:
        prefix = axes[kind] if axes[kind] is not None else ratios.size
        if kind == "N":
            lines.append(f"  cls {_number(ratios[0])}")
        if prefix:
            registers = ratios[1:prefix] if kind == "N" else ratios
            lines.append(f"  registers {' '.join(map(_number, registers))}")
        if kind != "R":
            lines += _patches(ratios[prefix:].reshape(worst.grid), worst.token_limit)
    return "\n".join([*lines, *_inside(standard, values, words)])


def _number(ratio: float) -> str:
    return f"{ratio:.2g}" if ratio < 1000 else f"{ratio:.0e}".replace("e+0", "e")


def _patches(ratios: np.ndarray, limit: float) -> list[str]:
    rows, columns = ratios.shape
    if ratios.size <= _NUMBERS and columns <= 16:
        cells = [[_number(value) for value in row] for row in ratios]
        width = max(len(cell) for row in cells for cell in row)
        drawn = [" ".join(cell.rjust(width) for cell in row) for row in cells]
        return [f"  patches {rows}×{columns}", *(f"    {row}" for row in drawn)]
    steps = np.log2(np.maximum(ratios / limit, 1e-30)) + 1  # half the limit draws the first shade
    shades = [["".join(_SHADES[int(np.clip(s, 0, 5))]) for s in row] for row in steps]
    key = "from half the limit, each shade twice the one before"
    return [f"  patches {rows}×{columns}, {key}", *(f"    |{''.join(row)}|" for row in shades)]


def _inside(standard: Standard, values: np.ndarray, words: tuple[str, ...]) -> list[str]:
    """Which heads and channels hold the squared error."""
    squares = np.square((values - standard.meta - standard.rest) / np.float32(standard.floor.value))
    total = float(squares.sum(dtype=np.float64))
    lines = []
    for axis, word in enumerate(words):
        name = {"h": "head", "D": "channel", "d": "channel", "F": "channel"}.get(word)
        if name and np.isfinite(total):
            others = tuple(k for k in range(values.ndim) if k != axis)
            shares = squares.sum(others, dtype=np.float64) / total
            worst = int(shares.argmax())
            share = f"{100 * shares[worst]:.0f} % of the squared error"
            lines.append(f"  {name} {worst} of {shares.size} holds {share}")
    return lines
