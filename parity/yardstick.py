"""The yardstick: error against a float64 truth, in units of what honest float32 may do.

For a tap with truth t, Meta's float32 run m, its twins and a stage's s, all on the same input::

    rms(e) = sqrt(mean(e^2))
    floor  = max over m and its twins of rms(run - t), and at least ROUNDING * eps32 * rms(t)
    ratio  = rms(s - t) / floor

There is no absolute tolerance anywhere: a ratio of 1 means "as good as honest float32". One of the twins
errs at each sum by what the longest honest order, one term after the other, is expected to err by
(``fixtures.stages.meta.rounding``): so the floor covers every order, not those of one BLAS alone.

``ROUNDING``, the lower bound, is one rounding of the truth. Rounding to nearest errs by a uniform
value of at most half a unit in the last place; over a binade [1, 2) that is an rms of eps / sqrt(12)
against values of rms sqrt(7/3): 0.19 eps. It matters where Meta is exact (a copied token, cos 0, a
grid of one patch), where a floor of zero would call any honest last bit infinite. Where the truth
itself is all zero (sin 0, tokens of zeros) the bound is the smallest normal float32, so an exact
zero passes and nothing else does.

The same ratio is taken token by token, lest a fault in one register drown in 200 patches::

    floor(token) = max over runs of rms(run - t) at this token, at least rms(t at this token)
                   / rms(t) * floor, and at least TYPICAL * median over tokens of the first

One token's error is a small sample of what rounding does, so by itself it is no floor: the second
term is the error pooled over tokens of like scale; the third serves tokens that are all but zero
among others that are not (the middle of an odd grid has sin 0).

A whole tap of few tokens is a small sample, too: its limit follows how many tokens err apart
(``Floor.sample``, ``families.base.Limit.of``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from dinov3_parity.parity.families.base import Tap

EPS32 = float(np.finfo(np.float32).eps)
TINY32 = float(np.finfo(np.float32).tiny)
ROUNDING = 0.19
TYPICAL = 0.25


def rms(values: np.ndarray) -> float:
    """Root mean square in float64; 0 for an empty array."""
    flat = np.asarray(values, np.float64).ravel()
    return float(np.sqrt(flat @ flat / flat.size)) if flat.size else 0.0


def rms_by_token(tap: Tap, values: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Root mean square of each token's values, float64 of the shape of the tap's token axes.

    Squares are taken in float32 of ``values / unit``, so a unit near their size keeps them in range.
    """
    inside = tuple(k for k in range(values.ndim) if k not in tap.token_axes)
    with np.errstate(over="ignore"):
        scaled = values * np.float32(1 / max(unit, TINY32))
        np.square(scaled, out=scaled)
        means = scaled.mean(inside)
    return np.sqrt(means.astype(np.float64)) * max(unit, TINY32)


@dataclass(frozen=True)
class Floor:
    """What float32 may do at one tap on one input.

    ``value`` is an rms error, in units of the tap; ``setter`` names the run that set it, ``meta``,
    a twin, or ``rounding`` for the lower bound; ``alone`` is what it would be without the twins;
    ``tokens`` the floor of each token, float32.
    """

    value: float
    setter: str
    alone: float
    tokens: np.ndarray

    @cached_property
    def sample(self) -> float:
        """How many tokens, each of its own error, the rms of the whole is a sample of.

        Equal tokens, as of an image of one colour, err alike and have one floor; a token of a large floor
        counts for more than others. With w the share of all squared floors that each different floor has,
        it is 1 / sum(w^2): n for n tokens of like floors, 1 for any number of equal ones.
        """
        floors, counts = np.unique(self.tokens / self.tokens.max(), return_counts=True)
        weights = counts * np.square(floors, dtype=np.float64)
        return float(weights.sum() ** 2 / np.square(weights).sum())


@dataclass(frozen=True)
class Standard:
    """What a stage is measured against at one tap.

    The truth is kept as Meta's float32 and what is missing to it, ``rest = truth - meta``, also
    float32: together 48 bits, and differences from it need no float64 copies of whole tensors.
    """

    tap: Tap
    meta: np.ndarray  # float32
    rest: np.ndarray  # float32, same shape
    scale: float  # rms of the truth
    floor: Floor

    @cached_property
    def truth(self) -> np.ndarray:
        """The truth in float64."""
        return self.meta.astype(np.float64) + self.rest


def standard(tap: Tap, truth: np.ndarray, runs: Mapping[str, np.ndarray]) -> Standard:
    """The standard of a tap from its float64 truth and Meta's float32 runs, ``meta`` among them."""
    meta = runs["meta"]
    rest = (truth - meta).astype(np.float32)
    size = float(np.abs(meta).max())
    scales = rms_by_token(tap, meta, size)  # of the truth, up to one rounding
    scale = rms(scales)
    lower = max(ROUNDING * EPS32 * scale, TINY32)
    by_run = {
        name: rms_by_token(tap, rest if run is meta else run - meta - rest, EPS32 * size)
        for name, run in runs.items()
    }
    errors = {name: rms(tokens) for name, tokens in by_run.items()} | {"rounding": lower}
    setter = max(errors, key=errors.__getitem__)
    floor = errors[setter]
    own = np.maximum.reduce(list(by_run.values()))
    tokens = _floors_of_tokens(own, scales * (floor / scale) if scale else scales)
    alone = max(errors["meta"], lower)
    return Standard(tap, meta, rest, scale, Floor(floor, setter, alone, tokens.astype(np.float32)))


def _floors_of_tokens(own: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The floor of each token from its ``own`` largest error, and that of tokens ``like`` it in scale."""
    return np.maximum(np.maximum(own, like), max(TYPICAL * float(np.median(own)), TINY32))


def widened(known: Standard, name: str, runs: Sequence[np.ndarray]) -> Standard:
    """A standard whose floor covers more runs, under a ``name``: honest ones in numbers of fewer bits. A
    run that is not finite says nothing."""
    finite = [run for run in runs if np.isfinite(run).all()]
    if not finite:
        return known
    by_token = [errors_by_token(known, run) for run in finite]
    value = max(map(rms, by_token))
    if value <= known.floor.value:
        return known
    own = np.maximum.reduce(by_token)
    scales = rms_by_token(known.tap, known.meta, float(np.abs(known.meta).max()))
    tokens = _floors_of_tokens(own, scales * (value / known.scale) if known.scale else scales)
    tokens = np.maximum(tokens, known.floor.tokens).astype(np.float32)
    return replace(known, floor=Floor(value, name, known.floor.alone, tokens))


@dataclass(frozen=True)
class Comparison:
    """The figures of one tap of one stage; ``problem`` says why there are none to compare.

    ``token`` is the token with the largest ratio, its index along the tap's token axes.
    """

    ratio: float
    floor: float
    floor_setter: str
    floor_alone: float
    max_abs: float  # max |s - m|
    max_abs_index: tuple[int, ...]
    rel_max: float  # max |s - m| / rms(t)
    cosine: float  # of s and t, over the whole tensor
    limit: float
    token: tuple[int, ...]
    token_ratio: float
    token_limit: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        within = self.ratio <= self.limit and self.token_ratio <= self.token_limit
        return within and not self.problem


#: How the words of a tap of another shape begin.
OTHER_SHAPE = "of another shape"


def problem(standard: Standard, shown: np.ndarray | None) -> str:
    """Why a shown tap cannot be compared, in words; "" when it can.

    Nothing is broadcast, cropped or cast to fit: each of those hides a fault.
    """
    if shown is None:
        return "absent: declared for this stage, not shown"
    if shown.size == 0:
        return f"empty: shape {shown.shape}"
    if shown.shape != standard.meta.shape:
        return f"{OTHER_SHAPE}: {shown.shape}, expected {standard.meta.shape}"
    if shown.dtype != np.float32:
        return f"of another dtype: {shown.dtype}, expected float32"
    if not np.isfinite(shown).all():
        bad = np.flatnonzero(~np.isfinite(shown))
        index = tuple(int(k) for k in np.unravel_index(bad[0], shown.shape))
        return f"not finite at {bad.size} of {shown.size} places, the first at {index}"
    if _constant(shown) and not _constant(standard.meta):
        return f"constant ({shown.flat[0]:g} everywhere) where Meta's values are not"
    return ""


def _constant(values: np.ndarray) -> bool:
    first = values.flat[0]
    return bool(values.flat[-1] == first and (values == first).all())


def errors_by_token(standard: Standard, shown: np.ndarray) -> np.ndarray:
    """Root mean square error of each token of a shown tap against the truth."""
    gap = shown - standard.meta  # exact in float32 wherever the two are within a factor of 2
    gap -= standard.rest
    found = rms_by_token(standard.tap, gap, standard.floor.value)
    if not np.isfinite(found).all():  # squares beyond float32: more than 1e19 floors
        found = rms_by_token(standard.tap, gap, float(np.abs(gap).max()))
    return found


def compare(standard: Standard, shown: np.ndarray | None) -> Comparison:
    """Measure what a stage shows at a tap. Never raises: what cannot be compared is a problem."""
    floor, limit = standard.floor, standard.tap.limit
    bounds = {
        "floor": floor.value, "floor_setter": floor.setter, "floor_alone": floor.alone,
        "limit": limit.of(floor.sample), "token_limit": limit.token,
    }  # fmt: skip
    why = problem(standard, shown)
    if why or shown is None:
        nan = float("nan")
        return Comparison(
            ratio=nan, max_abs=nan, max_abs_index=(), rel_max=nan, cosine=nan,
            token=(), token_ratio=nan, problem=why, **bounds,
        )  # fmt: skip
    errors = errors_by_token(standard, shown)
    error = rms(errors)
    by_token = errors / floor.tokens
    gap = np.abs(shown - standard.meta)
    worst, token = int(gap.argmax()), int(by_token.argmax())
    length = _length(shown)
    size = length * standard.scale
    inner = (length**2 + standard.scale**2 - error**2) / 2  # of s and t, by s - t
    return Comparison(
        ratio=error / floor.value,
        max_abs=float(gap.flat[worst]),
        max_abs_index=_index(worst, gap.shape),
        rel_max=float(gap.flat[worst]) / max(standard.scale, TINY32),
        cosine=inner / size if size else 1.0,
        token=_index(token, by_token.shape),
        token_ratio=float(by_token.flat[token]),
        **bounds,
    )


def _length(values: np.ndarray) -> float:
    """Root mean square by a float32 dot product, precise enough for a cosine."""
    flat = values.ravel()
    with np.errstate(over="ignore"):  # values beyond 1e19, whose squares float32 has not
        square = float(flat @ flat) / flat.size
    return square**0.5 if TINY32 < square < np.inf else rms(values)


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(flat, shape))
