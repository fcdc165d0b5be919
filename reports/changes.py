"""What changed from one run to another: what got worse, what got better, what is new.

A place is compared on the inputs that both runs have, by its strongest ratio in units of its limit.
Versions inside a runtime's name are no part of the place: what ran it may have been upgraded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.reader import Run
from dinov3_parity.parity.words import counted

DEPARTS, HOLDS, WORSE, BETTER, NEW, GONE = (
    "newly departs", "holds now", "worse", "better", "new", "gone",
)  # fmt: skip

#: Smaller changes of a ratio are what another machine or kernel does.
FACTOR = 1.5

Key = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What became of one place; ``before`` and ``after`` are its strongest measurements."""

    kind: str
    before: Measurement | None
    after: Measurement | None

    @property
    def known(self) -> Measurement:
        known = self.after or self.before
        assert known is not None  # one of them has the place
        return known

    @property
    def factor(self) -> float | None:
        """How many times stronger it is than before; None where there is nothing to divide."""
        if not self.before or not self.after:
            return None
        old, new = self.before.strength, self.after.strength
        return new / old if 0 < old < math.inf and new < math.inf else None


@dataclass(frozen=True)
class Changes:
    changes: list[Change]
    places: int  # that both runs have
    unlike: int  # of them, those without an input in common

    def of(self, *kinds: str) -> list[Change]:
        return [change for change in self.changes if change.kind in kinds]

    @property
    def words(self) -> str:
        """The comparison in a sentence."""
        counts = [(kind, len(self.of(kind))) for kind in (DEPARTS, WORSE, HOLDS, BETTER, NEW, GONE)]
        told = ", ".join(f"{n:,} {kind}" for kind, n in counts if n)
        return f"{counted(self.places, 'place')} in both runs: {told or 'no change'}"


def compare(before: Sequence[Measurement], after: Sequence[Measurement]) -> Changes:
    """Every place that changed, the most important first."""
    old, new = _by_place(before), _by_place(after)
    changes, unlike = [], 0
    for key in [*new, *(key for key in old if key not in new)]:
        if key not in old or key not in new:
            found = new.get(key) or old[key]
            worst = max(found.values(), key=_by_strength)
            changes.append(Change(NEW, None, worst) if key in new else Change(GONE, worst, None))
            continue
        common = old[key].keys() & new[key].keys()
        unlike += not common
        pair = [
            max((m for one, m in had.items() if one in common or not common), key=_by_strength)
            for had in (old[key], new[key])
        ]
        if kind := _kind(*pair):
            changes.append(Change(kind, *pair))
    order = (DEPARTS, WORSE, HOLDS, BETTER, NEW, GONE)
    changes.sort(key=lambda c: (order.index(c.kind), -abs(c.known.strength)))
    return Changes(changes, len(old.keys() & new.keys()), unlike)


def _kind(before: Measurement, after: Measurement) -> str:
    if before.passed != after.passed:
        return HOLDS if after.passed else DEPARTS
    if before.strength == after.strength:
        return ""
    if after.strength > FACTOR * before.strength:
        return WORSE
    return BETTER if before.strength > FACTOR * after.strength else ""


def _by_place(found: Iterable[Measurement]) -> dict[Key, dict[Input, Measurement]]:
    places: dict[Key, dict[Input, Measurement]] = {}
    for m in found:
        runtime = re.sub(r"\s*\d+\.[\w.+]*", "", m.runtime)
        key = m.variant, m.stage, m.layer, runtime, m.mode, m.place, m.tap
        known = places.setdefault(key, {})
        if m.input not in known or m.strength > known[m.input].strength:
            known[m.input] = m
    return places


def _by_strength(m: Measurement) -> float:
    return m.strength


def figure(m: Measurement | None) -> str:
    """A place's ratio: of the whole tensor, or with a ᵗ of one token, where that is the stronger."""
    if m is None:
        return "–"
    if m.problem or m.ratio is None or m.token_ratio is None:
        return m.problem or "∞"
    by_token = m.token_ratio / m.token_limit > m.ratio / m.limit
    return f"{m.token_ratio:.3g}ᵗ" if by_token else f"{m.ratio:.3g}"


def differences(before: Run, after: Run) -> list[tuple[str, str, str]]:
    """Versions, host and checkpoints that are not the same: (name, before, after)."""
    rows = []
    for section in ("versions", "host"):
        old, new = before.header[section], after.header[section]
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name):
                rows.append((name, str(old.get(name, "–")), str(new.get(name, "–"))))
    old, new = before.header["checkpoints"], after.header["checkpoints"]
    for name in dict.fromkeys([*old, *new]):
        pair = [told.get(name, {}).get("digest", "–")[:16] for told in (old, new)]
        if pair[0] != pair[1]:
            rows.append((f"checkpoint of {name}", *pair))
    return rows


def outcomes(before: Run, after: Run) -> list[tuple[str, str, str]]:
    """Tests that ended otherwise: (test, before, after)."""
    old, new = ({t["test"]: t["outcome"] for t in run.header["tests"]} for run in (before, after))
    return [
        (test, old.get(test, "not run"), new.get(test, "not run"))
        for test in dict.fromkeys([*new, *old])
        if old.get(test, "not run") != new.get(test, "not run")
    ]
