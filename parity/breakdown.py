"""Where inside a tap a comparison erred: token by token, and along its heads and channels.

Figures are ratios: of each token's rms error to its own floor, and of the rms error at each head or
channel, over all tokens of the batch, to the floor of the whole tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from dinov3_parity.parity.yardstick import Standard, errors_by_token

#: Along an axis that is longer, neighbours share a figure: the largest among them.
POINTS = 128

_AXES = {"h": "head", "D": "channel", "d": "channel", "F": "channel"}


def breakdown(standard: Standard, shown: np.ndarray, token: tuple[int, ...]) -> dict[str, Any]:
    """The figures of a shown tap, as JSON takes them; ``token`` is the worst, by its index along the
    tap's token axes.

    ``tokens`` are those of one image, ``image``, that of the worst token (None where a tap has no
    batch). ``along`` has by axis its ``size``, the ``ratio`` of at most ``POINTS`` places, the place
    ``worst`` that holds the largest ``share`` of the squared error. Ratios have three digits; None
    is one beyond float32.
    """
    ratios = errors_by_token(standard, shown) / standard.floor.tokens
    image = token[0] if "B" in standard.tap.shape else None
    if image is not None:
        ratios = ratios[image]
    return {
        "image": image,
        "tokens": _rounded(np.atleast_1d(ratios)),
        "along": _along(standard, shown),
    }


def _along(standard: Standard, shown: np.ndarray) -> dict[str, Any]:
    with np.errstate(over="ignore"):  # what is beyond float32 is told as such
        gap = (shown - standard.meta - standard.rest) / np.float32(standard.floor.value)
        squares = np.square(gap)
    words, found = standard.tap.shape, {}
    for axis, name in ((axis, _AXES[word]) for axis, word in enumerate(words) if word in _AXES):
        others = tuple(k for k in range(shown.ndim) if k != axis)
        sums = squares.sum(others, dtype=np.float64)
        total, worst = float(sums.sum()), int(sums.argmax())
        if not np.isfinite(total):
            continue
        step = -(-sums.size // POINTS)
        largest = np.maximum.reduceat(sums, np.arange(0, sums.size, step))
        found[name] = {
            "size": sums.size,
            "ratio": _rounded(np.sqrt(largest / (shown.size // sums.size))),
            "worst": worst,
            "share": _digits(float(sums[worst]) / total) if total else 0.0,
        }
    return found


def stands_out(axis: Mapping[str, Any]) -> bool:
    """Whether one place of an axis holds so much of the error that it is worth naming."""
    return axis["size"] > 1 and axis["share"] > max(0.5, 4 / axis["size"])


def _rounded(values: np.ndarray) -> list[float | None]:
    return [_digits(float(value)) for value in values]


def _digits(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None
