"""Which of many values hold a tap's numbers, and in which layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from dinov3_parity.parity.alignment.layouts import Layout, Words, layouts
from dinov3_parity.parity.alignment.samples import Key, Sample, words_of

#: A relative rms difference up to which a value may be a tap that is computed a little wrong; and one up
#: to which it is that tap as far as float32 (or a float16 weight) can tell.
NEAR, CLEAN = 0.05, 2e-3

_RANKS = 512

#: The relative rms difference of two copies of a value.
COPY = 1e-5

#: How much farther from the tap the next best value has to be.
APART = 10.0


@dataclass(frozen=True)
class Match:
    """A value that may be a tap: its layout, and the larger relative difference of the samples."""

    name: str
    layout: Layout
    error: float


def difference(value: np.ndarray, tap: np.ndarray) -> float:
    """rms(value - tap) / rms(tap), in float32; infinite where anything is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.asarray(value, np.float32) - tap
        own, size = float(np.square(gap).mean()), float(np.square(tap).mean())
    if not np.isfinite(own):
        return float("inf")
    return float(np.sqrt(own / size)) if size else (0.0 if not own else float("inf"))


class Shown:
    """The values of a graph on the samples, indexed by how many numbers they have on the first."""

    def __init__(self, samples: Sequence[Sample], arrays: Sequence[Mapping[str, np.ndarray]]):
        self.samples = samples
        common = [
            name
            for name, one in arrays[0].items()
            if one.dtype.kind == "f" and all(name in other for other in arrays)
        ]
        self.arrays = [{name: one[name] for name in common} for one in arrays]
        self._by_size: dict[int, list[str]] = {}
        self._orders: dict[int, np.ndarray] = {}
        self._laid: dict[tuple, list[Layout]] = {}
        self._known: dict[str, Words] = {}
        for name in common:
            array = self.arrays[0][name]
            if array.size > 1:
                self._by_size.setdefault(array.size, []).append(name)

    def _order(self, count: int) -> np.ndarray:
        """The ranks of all values of so many numbers, a row each."""
        if count not in self._orders:
            names = self._by_size[count]
            self._orders[count] = np.stack([_ranks(self.arrays[0][name]) for name in names])
        return self._orders[count]

    def laid(self, key: Key, name: str) -> list[Layout]:
        """The layouts in which a value's shapes can be a tap, on every sample; first what keeps the tap's
        own order within each axis: that is meant where the numbers do not tell."""
        words = self._words(key)
        shapes = tuple(arrays[name].shape for arrays in self.arrays)
        if (words, shapes) not in self._laid:
            found: set[Layout] | None = None
            for shape, sample in zip(shapes, self.samples, strict=True):
                here = set(layouts(shape, words, sample.sizes, self._prefix))
                found = here if found is None else found & here
            plainly = lambda one: (_turns(one, words.atoms), str(one))
            self._laid[words, shapes] = sorted(found or (), key=plainly)
        return self._laid[words, shapes]

    def error(self, key: Key, name: str, layout: Layout) -> float:
        """The largest relative difference over the samples."""
        words, worst = self._words(key), 0.0
        for sample, arrays in zip(self.samples, self.arrays, strict=True):
            try:
                shown = layout.tap(arrays[name], words, sample.sizes)
            except ValueError:
                return float("inf")
            worst = max(worst, difference(shown, sample.meta[key]))
            if worst > NEAR * 4:
                break
        return worst

    def alike(self, key: Key, one: Match, other: Match) -> bool:
        """Whether two values hold the same numbers of a tap, up to rounding: one may be the other's copy,
        computed by another call of the same operators."""
        if other.error > one.error + COPY:
            return False
        words = self._words(key)
        return all(
            difference(*(
                match.layout.tap(arrays[match.name], words, sample.sizes) for match in (one, other)
            )) <= COPY
            for sample, arrays in zip(self.samples, self.arrays, strict=True)
        )  # fmt: skip

    def near(self, key: Key, may: Callable[[str], bool], bound: float = NEAR) -> list[Match]:
        """Values whose relative difference to a tap is within a bound, the nearest first, of those that
        may be it."""
        found = []
        for name in self._fitting(key, bound):
            if not may(name):
                continue
            best = min(
                (
                    Match(name, layout, self.error(key, name, layout))
                    for layout in self.laid(key, name)
                ),
                key=lambda one: one.error,
                default=None,
            )
            if best and best.error <= bound:
                found.append(best)
        return sorted(found, key=lambda one: one.error)

    def _fitting(self, key: Key, bound: float) -> Iterator[str]:
        """Values of a size that a tap can have, whose numbers in ascending order are near the tap's."""
        tap = self.samples[0].meta[key]
        ranks, size = _ranks(tap), float(np.sqrt(np.square(tap).mean()))
        for count in self._counts(key):
            names = self._by_size.get(count, ())
            if count != tap.size or not names:
                yield from names
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                gaps = np.sqrt(np.square(self._order(count) - ranks).mean(1))
            yield from (
                name for name, gap in zip(names, gaps, strict=True) if gap <= 1.5 * bound * size
            )

    def _counts(self, key: Key) -> set[int]:
        sample = self.samples[0]
        size = sample.meta[key].size
        if "B" in sample.family.taps[key[1]].shape:
            return {size}
        width = sample.meta[key].shape[-1]
        rows = {size, size + self._prefix * width}
        batch = sample.sizes["B"]
        return {n // part * many for n in rows for part in (1, 2) for many in (1, batch)}

    @property
    def _prefix(self) -> int:
        return getattr(self.samples[0].variant, "prefix", 0)

    def _words(self, key: Key) -> Words:
        if key[1] not in self._known:
            sample = self.samples[0]
            self._known[key[1]] = words_of(sample.family, sample.variant, key[1])
        return self._known[key[1]]


def _turns(layout: Layout, atoms: Sequence[str]) -> int:
    """How many atoms stand in an axis before one that comes before them in the tap."""
    order = list(atoms).index
    return sum(
        order(one) > order(other)
        for axis in layout.axes
        for k, one in enumerate(axis)
        for other in axis[k + 1 :]
        if one in atoms and other in atoms
    )


def _ranks(array: np.ndarray) -> np.ndarray:
    """Some of an array's numbers in ascending order. Between two arrays sorted the rms difference is no
    larger than between the two in any order, so who differs here is no layout of the other."""
    flat = np.sort(np.asarray(array, np.float32), axis=None)
    return flat[np.linspace(0, flat.size - 1, min(flat.size, _RANKS)).astype(int)]
