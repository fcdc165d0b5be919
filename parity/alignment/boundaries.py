"""Where a graph goes from one place to the next, told by whose tensors are read, before taps are found.

A model of some blocks alone is made by reading there what another block hands on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_

from dinov3_parity.parity.alignment.flow import Flow, plain
from dinov3_parity.parity.alignment.parameters import Held
from dinov3_parity.parity.families.base import Family, Place

#: Operators whose results follow from the shape of what they are given, whatever computed that.
_OF_SHAPES = frozenset(("shape", "size"))


def owners(held: Mapping[str, Held], family: Family, places: Sequence[Place]) -> dict[str, int]:
    """By parameter the number of the place that reads it, of several the first. Tables that other places
    read as well, and what they are computed from, are nobody's."""
    across = {name for names in family.across.values() for name in names}
    number = {place: k for k, place in enumerate(places)}
    return {
        name: min(number[place] for place, _ in one.taps)
        for name, one in held.items()
        if not {tap for _, tap in one.taps} & across
    }


class Boundaries:
    """The values that a graph's places are given.

    ``own`` are ``owners``, of the places that are asked about and of those before them; ``images`` are
    the graph's inputs, ``count`` is how many places there are. A value is of the last place whose tensors
    it is computed from.
    """

    def __init__(self, flow: Flow, own: Mapping[str, int], images: Sequence[str], count: int):
        self.flow, self._count = flow, count
        self._depth, self._stored = _depths(flow, own, images)
        self._over = self._dominators()

    def given(self, k: int) -> str:
        """The value that the place of a number is given. Raises LookupError where no one value is.

        It is computed from all that reads a tensor of the place before, and every way from the images to
        the place leads over it; tables, which other ways lead to, aside. Of several such it is the last:
        what is added in the place is that; before the final norm, where nothing is added, the first.
        """
        flow, depth = self.flow, self._depth
        crossing = [
            name
            for name, of in depth.items()
            if of < k and any(depth.get(user) == k for user in flow.consumers[name])
        ]
        if not crossing:
            raise LookupError(k)
        common = reduce(and_, (self._over[name] for name in crossing))
        readers = self._readers(k - 1)
        led_over = [
            name
            for name in depth
            if common >> flow.order[name] & 1 and all(flow.after(name, one) for one in readers)
        ]
        if not (readers and led_over):
            raise LookupError(k)
        return led_over[0 if k == self._count - 1 else -1]

    def rewired(self, kept: Sequence[int]) -> dict[str, str]:
        """What is read in place of which value, so that of the places between the first and the last
        those ``kept`` alone are left. Raises LookupError for a place that is not given one value."""
        pairs = ((self.given(start), self.given(end)) for end, start in self._gaps(kept))
        return {own: known for own, known in pairs if own != known}

    def left_out(self, kept: Sequence[int]) -> set[str]:
        """The values that are then computed for nothing, of places that are left out."""
        found: set[str] = set()
        for end, start in self._gaps(kept):
            first, last = self.given(end), self.given(start)
            found |= {
                name
                for name in self._depth
                if name != first and self.flow.after(name, first) and self.flow.after(last, name)
            }
        return found

    def _gaps(self, kept: Sequence[int]) -> list[tuple[int, int]]:
        """Between places kept one after the other: the number after the former, and the latter's."""
        ends = [1, *(one + 1 for one in kept)]
        return list(zip(ends, (*kept, self._count - 1), strict=True))

    def _readers(self, k: int) -> list[str]:
        """What reads a tensor of a place, or something that is computed from tensors alone."""
        return [
            name
            for name, of in self._depth.items()
            if of == k and any(self._stored.get(one) == k for one in self.flow.values[name].inputs)
        ]

    def _dominators(self) -> dict[str, int]:
        """The values that every way to each leads over, as bits of one number."""
        found: dict[str, int] = {}
        for name in self._depth:
            ways = [found[one] for one in self.flow.values[name].inputs if one in found]
            found[name] = (reduce(and_, ways) if ways else 0) | 1 << self.flow.order[name]
        return found


def _depths(
    flow: Flow, own: Mapping[str, int], images: Sequence[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """The number of the place of every value that is computed from images and tensors; and of every one
    that is computed from tensors alone."""
    deepest: dict[str, int] = {}
    moved = set(images)
    for name, value in flow.values.items():
        inputs = max((deepest[one] for one in value.inputs if one in deepest), default=-1)
        of_shapes = plain(value.operator) in _OF_SHAPES
        deepest[name] = -1 if of_shapes else max(inputs, own.get(name, -1))
        if moved.intersection(value.inputs):
            moved.add(name)
    placed = {name: of for name, of in deepest.items() if of >= 0}
    return (
        {name: of for name, of in placed.items() if name in moved},
        {name: of for name, of in placed.items() if name not in moved},
    )
