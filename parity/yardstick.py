"""The yardstick: error against a float64 truth, in units of what honest float32 may do.

For a tap with truth t, Meta's float32 run m, its twins and a stage's s, all on the same input::

    rms(e) = sqrt(mean(e^2))
    floor  = max over m and its twins of rms(run - t), and at least ROUNDING * eps32 * rms(t)
    ratio  = rms(s - t) / floor

There is no absolute tolerance anywhere: a ratio of 1 means "as good as Meta's own float32".

``ROUNDING``, the lower bound, is one rounding of the truth. Rounding to nearest errs by a uniform
value of at most half a unit in the last place; over a binade [1, 2) that is an rms of eps / sqrt(12)
against values of rms sqrt(7/3): 0.19 eps. It matters where Meta is exact (a copied token, cos 0),
where a floor of zero would call any honest last bit infinite. Where the truth itself is all zero
the bound is the smallest normal float32, so an exact zero passes and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

EPS32 = float(np.finfo(np.float32).eps)
TINY32 = float(np.finfo(np.float32).tiny)
ROUNDING = 0.19

#: The noise ratio up to which a stage counts as faithful, by tap; ``limit`` has the rest.
LIMITS: MappingProxyType[str, float] = MappingProxyType({})
COMMON_LIMIT = 4.0


def limit(tap: str) -> float:
    """The largest noise ratio a faithful stage may show at a tap."""
    return LIMITS.get(tap, COMMON_LIMIT)


def rms(values: np.ndarray) -> float:
    """Root mean square in float64; 0 for an empty array."""
    flat = np.asarray(values, np.float64).ravel()
    return float(np.sqrt(flat @ flat / flat.size)) if flat.size else 0.0


@dataclass(frozen=True)
class Floor:
    """What float32 may do at one tap on one input.

    ``value`` is an rms error, in units of the tap; ``setter`` names the run that set it, ``meta``,
    a twin, or ``rounding`` for the lower bound.
    """

    value: float
    setter: str


@dataclass(frozen=True)
class Standard:
    """What a stage is measured against at one tap.

    The truth is kept as Meta's float32 and what is missing to it, ``rest = truth - meta``, also
    float32: together 48 bits, and differences from it need no float64 copies of whole tensors.
    """

    meta: np.ndarray  # float32
    rest: np.ndarray  # float32, same shape
    scale: float  # rms of the truth
    floor: Floor

    @property
    def truth(self) -> np.ndarray:
        """The truth in float64."""
        return self.meta.astype(np.float64) + self.rest


def standard(truth: np.ndarray, runs: Mapping[str, np.ndarray]) -> Standard:
    """The standard of a tap from its float64 truth and Meta's float32 runs, ``meta`` among them."""
    meta = runs["meta"]
    rest = (truth - meta).astype(np.float32)
    scale = rms(truth)
    errors = {name: rms(run - meta - rest) for name, run in runs.items()}
    errors["rounding"] = max(ROUNDING * EPS32 * scale, TINY32)
    setter = max(errors, key=errors.__getitem__)
    return Standard(meta, rest, scale, Floor(errors[setter], setter))


@dataclass(frozen=True)
class Comparison:
    """The figures of one tap of one stage; ``problem`` says why there are none to compare."""

    ratio: float
    floor: float
    max_abs: float  # max |s - m|
    max_abs_index: tuple[int, ...]
    rel_max: float  # max |s - m| / rms(t)
    cosine: float  # of s and t, over the whole tensor
    limit: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.ratio <= self.limit


def problem(standard: Standard, shown: np.ndarray | None) -> str:
    """Why a shown tap cannot be compared, in words; "" when it can.

    Nothing is broadcast, cropped or cast to fit: each of those hides a fault.
    """
    if shown is None:
        return "absent: declared for this stage, not shown"
    if shown.size == 0:
        return f"empty: shape {shown.shape}"
    if shown.shape != standard.meta.shape:
        return f"of another shape: {shown.shape}, expected {standard.meta.shape}"
    if shown.dtype != np.float32:
        return f"of another dtype: {shown.dtype}, expected float32"
    finite = np.isfinite(shown)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        index = tuple(int(k) for k in np.unravel_index(bad[0], shown.shape))
        return f"not finite at {bad.size} of {shown.size} places, the first at {index}"
    if _constant(shown) and not _constant(standard.meta):
        return f"constant ({shown.flat[0]:g} everywhere) where Meta's values are not"
    return ""


def _constant(values: np.ndarray) -> bool:
    first = values.flat[0]
    return bool(values.flat[-1] == first and (values == first).all())


def compare(tap: str, standard: Standard, shown: np.ndarray | None) -> Comparison:
    """Measure what a stage shows at a tap. Never raises: what cannot be compared is a problem."""
    why = problem(standard, shown)
    if why:
        nan = float("nan")
        return Comparison(nan, standard.floor.value, nan, (), nan, nan, limit(tap), why)
    gap = shown - standard.meta  # exact in float32 wherever the two are within a factor of 2
    error = rms(gap - standard.rest)
    np.abs(gap, out=gap)
    worst = int(gap.argmax())
    length = rms(shown)
    size = length * standard.scale
    inner = (length**2 + standard.scale**2 - error**2) / 2  # of s and t, by s - t
    return Comparison(
        ratio=error / standard.floor.value,
        floor=standard.floor.value,
        max_abs=float(gap.flat[worst]),
        max_abs_index=tuple(int(k) for k in np.unravel_index(worst, gap.shape)),
        rel_max=float(gap.flat[worst]) / max(standard.scale, TINY32),
        cosine=inner / size if size else 1.0,
        limit=limit(tap),
    )
