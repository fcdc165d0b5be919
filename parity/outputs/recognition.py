"""Which form an output has, found by its numbers: among a file's own outputs first, then by Meta's.

How outputs are made of each other holds however wrong a model is: a mean over the wrong tokens is one
of the file's own tokens, too. What no other output tells is compared with the forms of Meta's values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from dinov3_parity.parity.outputs.forms import (
    CLS_PATCHES,
    FORMS,
    PATCHES,
    TOKENS,
    Form,
    Layout,
)
from dinov3_parity.parity.outputs.pieces import Part, Source
from dinov3_parity.parity.yardstick import rms

#: Relative rms error: of what is the form, at most; of one output as made of another.
NEAR, ROUNDED = 0.05, 2e-4

#: How much nearer than the next form it has to be.
CLEARLY = 3.0

#: Of what is near nothing the last tokens are meant, unless others are nearer by more than this factor.
_BY_CHANCE = 0.7

#: Layers that are returned as one array, at most.
_LAYERS = 64

Getter = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Probe:
    """Meta's float32 tokens (B, N, D) by their source, on one input of a batch and a grid."""

    values: Mapping[Source, np.ndarray]
    layout: Layout


@dataclass(frozen=True)
class Found:
    """An output's parts, each with how it is taken out of the output; ``nearest`` says what came
    nearest where it is none of the forms, and there are no parts then."""

    parts: tuple[tuple[Part, Getter], ...]
    nearest: str = ""
    error: float = np.inf  # relative rms error of the part that is the farthest from its form


@dataclass(frozen=True)
class _Match:
    error: float
    source: Source
    form: Form
    rival: float  # error of the next form

    @property
    def certain(self) -> bool:
        return self.error <= NEAR and self.rival >= CLEARLY * self.error


def recognised(
    returned: Sequence[Mapping[str, np.ndarray]], probes: Sequence[Probe], batched: bool = True
) -> dict[str, Found]:
    """What each output holds, by its name.

    ``returned`` are a file's outputs, float arrays, on the input of each probe; without ``batched``
    they have no axis of images, of which there is one.
    """
    add = _same if batched else _of_one
    shown = {name: [add(np.asarray(one[name])) for one in returned] for name in returned[0]}
    found = {name: _by_reference(name, values, probes) for name, values in shown.items()}
    made = {name: _made_of_another(name, shown, found, probes) for name in shown}
    told = {name: made[name] or own for name, own in found.items()}
    return {name: _through(add, own) for name, own in told.items()}


def assumed(
    name: str, shape: Sequence[int], layout: Layout, last: Source, batched: bool = True
) -> Found:
    """What an output of a shape would hold if nothing but its shape were known: of (B, D) cls."""
    add = _same if batched else _of_one
    shape = tuple(shape) if batched else (1, *shape)
    count = layout.prefix + layout.grid[0] * layout.grid[1]
    for squeeze in (_same, _one_token, _one_cell):
        value = squeeze(np.empty(shape, np.float32))
        dims = {value.shape[-1], value.shape[1]} if value is not None and value.ndim > 1 else ()
        for dim in dims:
            tokens = np.ones((shape[0], count, dim), np.float32)
            for form in FORMS.values():
                if not form.mistake and value.shape == form.make(tokens, layout).shape:
                    return _through(add, Found(((Part(name, last, form), squeeze),)))
    return Found((), _no_form([np.empty(shape, np.float32)]))


def _through(add: Getter, found: Found) -> Found:
    """The same of outputs as they are returned."""
    if add is _same:
        return found
    parts = tuple((part, lambda y, get=get: get(add(y))) for part, get in found.parts)
    return Found(parts, found.nearest, found.error)


def _by_reference(name: str, shown: list[np.ndarray], probes: Sequence[Probe]) -> Found:
    """The first way to take an output apart in which every part is certain; else the first in which
    every part could be something."""
    possible = None
    for getters in _ways(shown, next(iter(probes[0].values.values())).shape[-1]):
        matches = [_match([get(y) for y in shown], probes) for get in getters]
        if not all(matches):
            continue
        worst = max(match.error for match in matches if match)
        read = Found(_named(name, getters, matches), error=worst)
        if all(match.certain for match in matches if match):
            return read
        possible = possible or read
    return possible or Found((), _no_form(shown))


def _no_form(shown: list[np.ndarray]) -> str:
    return f"no known form has the shape {tuple(shown[0].shape)}"


def _named(name: str, getters: Sequence[Getter], matches: Sequence[_Match]):
    parts = []
    for number, (get, match) in enumerate(zip(getters, matches, strict=True)):
        own = f"{name}[{number}]" if getters[1:] else name
        doubt = (
            ""
            if match.certain
            else f"surely none of the known forms; this is the nearest, {match.error:.2g} off"
        )
        parts.append((Part(own, match.source, match.form, doubt), get))
    return tuple(parts)


def _match(values: list[np.ndarray], probes: Sequence[Probe]) -> _Match | None:
    """The nearest form of Meta's values; a mistake only where it is certain."""
    found = []
    for source in probes[0].values:
        for form in FORMS.values():
            error = _error(form, values, [p.values[source] for p in probes], probes)
            if error is not None:
                found.append((error, source, form))
    return _nearest(found)


def _nearest(found: list[tuple[float, Source, Form]]) -> _Match | None:
    if not found:
        return None
    found.sort(key=lambda one: one[0])
    rival = found[1][0] if found[1:] else np.inf
    best = _Match(*found[0], rival)
    if best.certain:
        return best
    meant = [one for one in found if not one[2].mistake]
    last = [one for one in meant if one[1].last and one[0] * _BY_CHANCE <= best.error]
    return _Match(*(last or meant)[0], 0.0) if meant else None


def _error(
    form: Form, values: list[np.ndarray], tokens: list[np.ndarray], probes: Sequence[Probe]
) -> float | None:
    """The largest relative rms error over the probes; None where the form has another shape."""
    worst = 0.0
    for value, one, probe in zip(values, tokens, probes, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            made = form.make(one, probe.layout)
        if made.shape != value.shape or not np.isfinite(made).all():
            return None
        gap = value.astype(np.float64) - made
        error = rms(gap) / max(rms(made), 1e-30)
        worst = max(worst, error if np.isfinite(error) else np.inf)
    return worst


def _made_of_another(
    name: str, shown: Mapping[str, list], found: Mapping[str, Found], probes: Sequence[Probe]
) -> Found | None:
    """What an output is of another one's tokens, where it is that to within rounding, and Meta's values
    do not say the same."""
    get = next((one for one in (_one_token, _one_cell) if one(shown[name][0]) is not None), _same)
    values = [get(y) for y in shown[name]]
    for other, own in found.items():
        tokens = _tokens(shown[other], own, probes) if other != name else None
        if tokens is None:
            continue
        source, doubt = own.parts[0][0].source, own.parts[0][0].doubt
        matches = [
            (error, source, form)
            for form in FORMS.values()
            if form.judged not in (TOKENS, CLS_PATCHES, PATCHES)
            and (error := _error(form, values, tokens, probes)) is not None
        ]
        best = _nearest(matches)
        if best is None or best.error > ROUNDED or not best.certain:
            continue
        part = Part(name, source, best.form, doubt and f"as it is made of {other}")
        before = [one for one, _ in found[name].parts]
        sure = len(before) == 1 and not before[0].doubt
        if sure and (before[0].form, before[0].source) == (part.form, part.source):
            return None
        return Found(((part, get),), error=found[name].error)
    return None


def _tokens(
    shown: list[np.ndarray], own: Found, probes: Sequence[Probe]
) -> list[np.ndarray] | None:
    """An output as tokens (B, N, D), one array a probe; None where it holds too few of them."""
    if len(own.parts) != 1:
        return None
    part, get = own.parts[0]
    made = [_completed(part.form, get(y), p) for y, p in zip(shown, probes, strict=True)]
    return [one for one in made if one is not None] or None


def _completed(form: Form, value: np.ndarray, probe: Probe) -> np.ndarray | None:
    """Tokens (B, N, D) of an output that holds all or most of them, the others NaN."""
    if form.undo:
        value = form.undo(value)
    if form.judged == TOKENS:
        return value
    missing = {CLS_PATCHES: (1, probe.layout.prefix - 1), PATCHES: (0, probe.layout.prefix)}
    if form.judged not in missing:
        return None
    kept, count = missing[form.judged]
    gap = np.full((len(value), count, value.shape[-1]), np.nan, value.dtype)
    return np.concatenate([value[:, :kept], gap, value[:, kept:]], 1)


def _same(y: np.ndarray) -> np.ndarray:
    return y


def _one_token(y: np.ndarray) -> np.ndarray | None:
    return y[:, 0] if y.ndim == 3 and y.shape[1] == 1 else None


def _one_cell(y: np.ndarray) -> np.ndarray | None:
    return y[:, :, 0, 0] if y.ndim == 4 and y.shape[2:] == (1, 1) else None


def _of_one(y: np.ndarray) -> np.ndarray:
    return y[None]


def _ways(shown: list[np.ndarray], dim: int) -> Iterator[list[Getter]]:
    """Ways to take an output apart: as it is, without axes of length one, layer by layer: stacked on
    the first or second axis, or joined along the channels."""
    first = shown[0]
    yield [_same]
    yield from ([one] for one in (_one_token, _one_cell) if one(first) is not None)
    if first.ndim < 2:
        return
    lengths = lambda axis: {y.shape[axis] for y in shown}
    for axis in (0, 1):
        count = first.shape[axis]
        if first.ndim > 2 and 1 < count <= _LAYERS and lengths(axis) == {count}:
            yield [lambda y, k=k, axis=axis: np.take(y, k, axis) for k in range(count)]
    for axis in dict.fromkeys((first.ndim - 1, 1)):
        count, rest = divmod(first.shape[axis], dim)
        if not rest and 1 < count <= _LAYERS and lengths(axis) == {count * dim}:
            yield [lambda y, k=k, axis=axis, n=count: np.split(y, n, axis)[k] for k in range(count)]
