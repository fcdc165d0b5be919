"""The search: which value of a graph is which tap.

First the graph runs on its own, and values that are near Meta's are taken. Then Meta's values are put in
place of all that was found, so that what comes after is computed from Meta's own: a tap behind a grossly
wrong one is near again. Operators that read a tap's own tensors say where it is computed, however wrong.
What is left is tried: the value is a tap if, with Meta's put in its place, what comes after is Meta's.
The same is asked of every tap in the end, see ``confirmation``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from dinov3_parity.parity.alignment.alignment import (
    DATAFLOW,
    PARAMETERS,
    VALUES,
    Alignment,
    Found,
)
from dinov3_parity.parity.alignment.confirmation import confirm
from dinov3_parity.parity.alignment.exchange import exchanged
from dinov3_parity.parity.alignment.flow import Flow, plain
from dinov3_parity.parity.alignment.layouts import Layout
from dinov3_parity.parity.alignment.match import APART, CLEAN, Shown
from dinov3_parity.parity.alignment.parameters import Held, anchors
from dinov3_parity.parity.alignment.samples import Key, Sample, words_of
from dinov3_parity.parity.families.base import Place

#: Sessions at most, beside the first: what is not found by then is not found.
_ROUNDS = 24

#: Values at most that are tried for a tap.
_TRIED = 12

_NONE = "no value of the graph is it"


class Search:
    """One search; ``graph`` is a ``fixtures.graphs.base.Graph``, ``held`` what its parameters hold."""

    def __init__(self, graph: Any, samples: Sequence[Sample], held: Mapping[str, Held]):
        self.graph, self.samples = graph, samples
        self.family, self.variant = samples[0].family, samples[0].variant
        self.flow = Flow(graph.values())
        self.held, self.anchors = held, anchors(held, self.flow)
        self.keys = list(self._keys())
        self.found: dict[Key, Found] = {}
        self.gone: dict[Key, str] = {}
        self.sessions = 0
        self._asked = False
        self._bases: list[Mapping[str, np.ndarray]] = []

    def _keys(self) -> Iterator[Key]:
        """What is looked for: neither what is taken out of other taps, nor a place's input, which is the
        value that the place before hands on."""
        for place in self.family.places(self.variant):
            given = self.family.parts[place.part].given
            for tap in self.family.of_part(place.part, self.variant):
                if tap.name != given and tap.name not in self.family.derived:
                    yield place, tap.name

    def before(self, key: Key) -> list[Key]:
        """The taps that a tap is computed from, through those that were not found."""
        place, tap = key
        shown = {one.name for one in self.family.of_part(place.part, self.variant)}
        own = tuple(name for name in self.family.taps[tap].after if name in shown)
        part = self.family.parts[place.part]
        near: list[Key] = []
        k = self.places.index(place)
        last = [(self.places[k - 1], self._handed_on(k - 1))] if k else []
        for name in own:
            near += last if name == part.given else [(place, name)]
        if not own and part.name == self.places[-1].part:
            near += last
        near += [(self.places[0], name) for name in self.family.across.get(tap, ())]
        return [
            one for key in near for one in ([key] if key not in self.gone else self.before(key))
        ]

    @cached_property
    def places(self) -> tuple[Place, ...]:
        return self.family.places(self.variant)

    def _handed_on(self, k: int) -> str:
        return self.family.parts[self.places[k].part].handed_on

    def aligned(self) -> Alignment:
        """Which value is which tap."""
        self._fold()
        shown = self.shown({})
        self._bases = shown.arrays
        self._take(shown, first=True)
        for _ in range(_ROUNDS):
            if not (left := self._left()):
                break
            before = len(self.found) + len(self.gone)
            self._take(self.shown(self.found))
            if len(self.found) + len(self.gone) > before or self._exchange():
                continue
            if not self._tried(left):
                break
        confirm(self)
        absent = self.gone | {key: self._why(key) for key in self._left()}
        return Alignment(dict(self.found), absent, self.sessions)

    def _exchange(self) -> bool:
        if self._asked:
            return False
        self._asked = True
        return exchanged(self)

    def _left(self) -> list[Key]:
        return [key for key in self.keys if key not in self.found and key not in self.gone]

    def _fold(self) -> None:
        """A LayerScale in the weights of the projection before it: the two are one tap."""
        for held in self.held.values():
            scaled, scale = held.taps[0], held.taps[-1]
            if held.folded and scaled not in self.anchors:
                self.gone[scaled] = f"one with {scale[1]}, which is folded into its weights"

    # Running.

    def shown(self, found: Mapping[Key, Found]) -> Shown:
        wanted = [
            value.name
            for value in self.flow.values.values()
            if value.operator or self._is_table(value)
        ]
        return Shown(self.samples, self.run_on(wanted, self.given(found)))

    def _is_table(self, value: Any) -> bool:
        """Whether it is stored, and no tensor of the checkpoint: rotary tables may be."""
        stored = self.graph.parameters()
        return value.name in stored and value.name not in self.held and stored[value.name].ndim > 1

    def run_on(self, wanted, given: Sequence[Mapping[str, np.ndarray]]):
        self.sessions += 1
        inputs = [(s.images, one) for s, one in zip(self.samples, given, strict=True)]
        return self.graph.runs(inputs, wanted)

    def given(self, found: Mapping[Key, Found]) -> list[dict[str, np.ndarray]]:
        """Meta's values in the graph's layouts, by the names of its values, for each sample."""
        return [
            dict(given(found, sample, self._bases[k] if self._bases else {}))
            for k, sample in enumerate(self.samples)
        ]

    # Taking.

    def _take(self, shown: Shown, first: bool = False) -> None:
        """Take every tap that is near one value and no other, in the order of the dataflow."""
        for key in self._left():
            if not first and any(one not in self.found for one in self.before(key)):
                continue
            if found := self._best(key, shown):
                self.found[key] = found

    def _best(self, key: Key, shown: Shown) -> Found | None:
        above = [self.found[one].names for one in self.before(key) if one in self.found]
        may = lambda name: self.may_be(name, above)
        near = shown.near(key, may, 5 * CLEAN) or shown.near(key, may)
        anchor = self.anchors.get(key)
        if near:
            best = near[0]
            same = [one for one in near if one is best or shown.alike(key, best, one)]
            if (
                anchor
                and anchor not in {one.name for one in same}
                and (at := [one for one in near if one.name == anchor])
            ):
                same = at  # its own tensors are read there: it is that, however near another is
            elif anchor and self._goes_on(best.name, anchor) and anchor in shown.arrays[0]:
                return self._anchored(key, anchor, shown)
            names = [one.name for one in same]
            rest = [
                one for one in near if one.name not in names and not self._akin(one.name, names)
            ]
            runner_up = rest[0].error if rest else float("inf")
            if best.error > CLEAN and runner_up < APART * best.error and anchor not in names:
                return None
            roots = [self._latest(root, set(names)) for root in self.flow.roots(names)]
            layout = next(one for one in same if one.name == roots[0]).layout
            alike = [r for r in roots if next(o for o in same if o.name == r).layout == layout]
            by = (PARAMETERS,) if anchor in names else ()
            by += (VALUES,) if same[0].error <= CLEAN else ()
            return Found(tuple(alike), layout, by or (VALUES,), same[0].error, runner_up)
        if anchor and anchor in shown.arrays[0]:
            return self._anchored(key, anchor, shown)
        return None

    def _apart(self, name: str, anchor: str) -> bool:
        """Whether a value is computed apart from another one, and neither from the other."""
        return not (self.flow.after(name, anchor) or self.flow.after(anchor, name))

    def _goes_on(self, name: str, anchor: str) -> bool:
        """Whether another of the tap's tensors is read after a value that is near it: a bias that is zero
        in Meta, and not here."""
        return anchor != name and anchor in set(self.flow.users(name))

    def _anchored(self, key: Key, anchor: str, shown: Shown) -> Found | None:
        """A tap by its tensors alone: it is far from Meta's. Where the operator that reads them goes on
        to a tap behind it, in one, the tap is no value."""
        laid = shown.laid(key, anchor)
        if not laid:
            return None
        error = shown.error(key, anchor, laid[0])
        if error > CLEAN and any(self._is(one, anchor, shown) for one in self._children(key)):
            self.gone[key] = self._inside(anchor)
            return None
        return Found((anchor,), laid[0], (PARAMETERS,), error)

    def _is(self, key: Key, name: str, shown: Shown) -> bool:
        """Whether a value has a tap's numbers."""
        return any(shown.error(key, name, one) <= CLEAN for one in shown.laid(key, name))

    def _inside(self, name: str) -> str:
        value = self.flow.values[name]
        told = f" ({value.node})" if getattr(value, "node", "") else ""
        return f"computed inside {value.operator}{told}"

    def may_be(self, name: str, above: Sequence[Sequence[str]]) -> bool:
        """Whether a value can be a tap that is computed from taps of these names: it is computed from all
        of them, and is none of them, moved."""
        for known in above:
            if not any(self.flow.after(name, one) for one in known) or self._akin(name, known):
                return False
        return True

    def _akin(self, name: str, names: Sequence[str]) -> bool:
        """Whether one of two values is the other, moved."""
        return any(self.flow.origin(name) == self.flow.origin(one) for one in names)

    def _latest(self, root: str, same: set[str]) -> str:
        """Of values that are the same numbers one after the other, the last that an operator computes, as
        far as nothing else reads those before it: a bias of zeros may be added after the product."""
        at = kept = root
        while True:
            users = self.flow.consumers[at]
            if len(users) != 1 or users[0] not in same:
                return kept
            at = users[0]
            if not self.flow.moves(at):
                kept = at

    # Trying.

    def _tried(self, left: Sequence[Key]) -> bool:
        """Try values in the place of one tap of each place, or of several that only together give what
        comes after: it is they with which that is Meta's. Whether any was found, or given up."""
        shown = self.shown(self.found)
        waiting: dict[Place, tuple[tuple[Key, ...], list[tuple[tuple[str, Layout], ...]]]] = {}
        ready = [key for key in left if all(one in self.found for one in self.before(key))]
        for key in ready:
            if key[0] not in waiting:
                together = self._together(key, ready)
                each = [self._candidates(one, shown)[: _TRIED // len(together)] for one in together]
                waiting[key[0]] = (together, list(product(*each)))
        progress = False
        for k in range(max((len(tries) for _, tries in waiting.values()), default=0)):
            trials = [
                {
                    key: Found((name,), layout, (DATAFLOW,), shown.error(key, name, layout))
                    for key, (name, layout) in zip(keys, tries[k], strict=True)
                }
                for keys, tries in waiting.values()
                if k < len(tries) and keys[0] not in self.found
            ]
            if not trials:
                break
            tried = self.shown({**self.found, **{k: v for one in trials for k, v in one.items()}})
            for trial in trials:
                if self._explains(trial, tried):
                    self.found |= trial
                    progress = True
        for keys, _ in waiting.values():
            for key in keys:
                if key not in self.found:
                    self.gone[key] = self._why(key)
                    progress = True
        return progress

    def _together(self, key: Key, ready: Sequence[Key]) -> tuple[Key, ...]:
        """A tap with those that everything is computed from that is computed from it: the sine and the
        cosine."""
        behind = set(self.behind(key))
        return tuple(one for one in ready if one[0] == key[0] and behind == set(self.behind(one)))

    def _candidates(self, key: Key, shown: Shown) -> list[tuple[str, Any]]:
        """Values of a tap's shape between what it is computed from and what comes after."""
        later = [self.found[k].name for k in self.behind(key) if k in self.found]
        later += [self.anchors[k] for k in self.behind(key) if k in self.anchors]
        taken = {name for one in self.found.values() for name in one.names}
        found = []
        for name in self.flow.values:
            if (
                name in taken
                or name not in shown.arrays[0]
                or not self._may_stand(key, name, later)
            ):
                continue
            found += [(name, one) for one in shown.laid(key, name)[:2] if one.plain]
        # A table is most likely what an operator of its name makes: that is tried first.
        named = key[1].rpartition(".")[2]
        found.sort(key=lambda one: plain(self.flow.values[one[0]].operator) != named)
        return found

    def _may_stand(self, key: Key, name: str, later: Sequence[str]) -> bool:
        above = [self.found[one] for one in self.before(key)]
        if not all(any(self.flow.after(name, k) for k in one.names) for one in above):
            return False
        return not later or any(self.flow.after(one, name) and one != name for one in later)

    def behind(self, key: Key) -> list[Key]:
        """The taps of the same place, or the next place's first, that are computed from a tap."""
        return [other for other in self.keys if key in self.before(other)]

    def _explains(self, trial: Mapping[Key, Found], tried: Shown) -> bool:
        """Whether with Meta's values there a tap that is computed from them is Meta's."""
        known = {**self.found, **trial}
        taken = {name for one in trial.values() for name in one.names}
        for other in {key for one in trial for key in self.behind(one)}:
            if any(one not in known for one in self.before(other)):
                continue
            names = known[other].names if other in known else None
            for one in tried.near(other, lambda name, names=names: not names or name in names):
                stands = all(
                    any(self.flow.after(one.name, n) for n in f.names) for f in trial.values()
                )
                if one.error <= CLEAN and stands and one.name not in taken:
                    return True
        return False

    def _why(self, key: Key) -> str:
        """Why a tap was not found: the operator that what comes before it goes into."""
        above = [self.found[one].name for one in self.before(key) if one in self.found]
        later = self._found_behind(key)
        for name in above:
            for user in self.flow.users(name):
                if any(self.flow.after(one, user) for one in later):
                    if user in later:
                        return self._inside(user)
                    told = self._inside(user).removeprefix("computed inside")
                    return f"{_NONE}: what is before it goes into{told}"
        return _NONE

    def _found_behind(self, key: Key) -> list[str]:
        """The nearest values found that are computed from a tap, through those that were not."""
        waiting, seen, names = [key], {key}, []
        while waiting:
            for one in self._children(waiting.pop()):
                if one in self.found:
                    names.append(self.found[one].name)
                elif one not in seen:
                    waiting.append(one)
                    seen.add(one)
        return names

    def _children(self, key: Key) -> list[Key]:
        """The taps of the same place that the table says are computed from a tap."""
        place, tap = key
        part = self.family.of_part(place.part, self.variant)
        return [(place, one.name) for one in part if tap in self.family.taps[one.name].after]


def given(
    found: Mapping[Key, Found], sample: Sample, bases: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Meta's values of taps as a graph lays them out, by the names of its values."""
    for key, one in found.items():
        words = words_of(sample.family, sample.variant, key[1])
        for name in one.names:
            base = bases.get(name)
            laid = one.layout.value(sample.meta[key], words, sample.sizes, base)
            yield name, laid if base is None else laid.reshape(base.shape).astype(base.dtype)
