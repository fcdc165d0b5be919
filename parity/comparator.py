"""The comparator: what a test holds a stage's taps against the reference with, and records as it goes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import msgspec
import numpy as np
from dinov3_parity.parity import picture, relations, yardstick
from dinov3_parity.parity.breakdown import breakdown
from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Place, Variant
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import divergence
from dinov3_parity.parity.records.account import Account
from dinov3_parity.parity.records.contract import Contract, size
from dinov3_parity.parity.records.deviations import Deviation, judged, listed
from dinov3_parity.parity.records.measurement import (
    CHAINED,
    ISOLATED,
    LOCAL,
    Measurement,
    measurement,
)
from dinov3_parity.parity.relations import Outcome
from dinov3_parity.parity.words import counted

Shown = Mapping[str, np.ndarray]

#: On so many inputs a departing tap is asked which mistake of the catalogue it is.
ASKED = 3

#: Inputs that are tried after a drawn one failed, in search of the smallest that does.
ATTEMPTS = 60


class Departure(AssertionError):
    """A stage is over its limit, or did not show what was declared, on one input."""


@dataclass(frozen=True)
class Verdict:
    """What became of one input: ``words`` of its failure, with the picture, or none."""

    words: str
    place: Place | None  # of the first divergence, if that is what failed
    strain: float  # of the measurement that is nearest to failing
    known: frozenset[str] = frozenset()  # taps that are listed as known departures


@dataclass
class Comparator:
    """Comparisons of one test; every one is recorded, passed or failed, before any is judged.

    A test begins an input, compares at every place its contract names, and holds. An input may be
    settled (begun, compared, closed) before the test's own turn has come. After an input that
    Hypothesis drew has failed, the comparator asks only for the place that failed, so that the way to the
    smallest such input is short; ``reject`` ends it, ``target`` is told how near to failing
    the nearest measurement was.
    """

    variant: Variant
    stage: str
    layer: str
    runtime: str
    declared: Contract = field(repr=False)
    record: Callable[[list[Measurement]], None] = field(repr=False)
    pinned: frozenset[Input] = field(default=frozenset(), repr=False)
    options: tuple[str, ...] = field(default=(), repr=False)  # of the run, for who repeats it
    program: str = field(default=divergence.PYTEST, repr=False)  # what the run was begun with
    reject: Callable[[], Any] | None = field(default=None, repr=False)
    target: Callable[[float], Any] | None = field(default=None, repr=False)
    deviations: Sequence[Deviation] = field(default=(), repr=False)  # known departures
    parent: str = ""  # the stage that its stage has its weights from
    #: What a graph calls the operator that computes a tap of a place; "" of what is no graph.
    named: Callable[[Place, str], str] = field(default=lambda place, tap: "", repr=False)
    #: Which mistake of the catalogue gives a tap's numbers, of a reference's mode, place, standard, value
    #: and what an operation was given; "" where none does.
    alike: Callable[..., str] = field(default=lambda *about: "", repr=False)
    accounts: list[Account] = field(default_factory=list, repr=False)
    focus: Place | None = field(default=None, repr=False)
    _now: Input | None = field(default=None, repr=False)
    _reference: Any = field(default=None, init=False, repr=False)
    taken: list[Measurement] = field(default_factory=list, repr=False)
    _open: dict[tuple[str, Place], tuple[str, ...]] = field(default_factory=dict, repr=False)
    _verdicts: dict[Input, Verdict] = field(default_factory=dict, repr=False)
    _attempts: int = field(default=0, repr=False)
    picture: str = field(default="", repr=False)
    _reasons: dict[tuple[str, Place, str], list[str]] = field(default_factory=dict, repr=False)
    _strongest: dict[tuple[str, Place, str], float] = field(default_factory=dict, repr=False)

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        """In a few words: Hypothesis prints a test's arguments, and a contract is long."""
        printer.text(f"<comparator of {self.stage}>")

    def settled(self, drawn: Input) -> bool:
        """Turn to an input; whether it was measured before. Ends the search for the smallest that
        fails when that has taken too long."""
        self._now = drawn
        if drawn in self._verdicts:
            return True
        if self.focus is not None:
            self._attempts += 1
            if self._attempts > ATTEMPTS and self.reject:
                self.reject()
        return False

    def begin(self, reference: Any) -> None:
        """Start with an input, given its reference."""
        self._now = reference.input
        self._reference, self.taken, self.picture = reference, [], ""
        self._open = {
            (mode, place): names
            for (mode, place), names in self.declared.items()
            if self.focus in (None, place)
        }
        self.accounts.append(Account(reference.input, size(self._open)))

    @property
    def name(self) -> str:
        """The test's own among those of its variant."""
        return f"{self.stage} {self.layer}"

    def waive(self, place: Place, mode: str, taps: Iterable[str]) -> None:
        """Take taps that a stage need not show out of what is to be compared at a place."""
        gone = set(taps)
        wanted = self._open[mode, place]
        self._open[mode, place] = left = tuple(tap for tap in wanted if tap not in gone)
        self.accounts[-1].waived += len(wanted) - len(left)

    def take_up(self, places: Iterable[Place], taken: Sequence[Measurement]) -> None:
        """Go on after places where an earlier pass took these measurements."""
        for key in [key for key in self._open if key[1] in set(places)]:
            del self._open[key]
        self.taken = [judged(m, self.deviations) for m in taken]
        self.accounts[-1].compared += sum(not m.problem for m in taken)

    @property
    def chained(self) -> bool:
        """Whether anything of the stage's own chain is still to be compared."""
        return any(mode == CHAINED for mode, _ in self._open)

    def wants(self, mode: str, place: Place) -> bool:
        """Whether a place is still to be compared in a mode."""
        return (mode, place) in self._open

    def wanted(self, mode: str, place: Place) -> tuple[str, ...]:
        """The taps of a place that are still to be compared in a mode."""
        return self._open[mode, place]

    def compare(
        self,
        place: Place,
        shown: Shown,
        mode: str = ISOLATED,
        against: Mapping | None = None,
        given: Shown | None = None,
        relation: str = "",
        problem: str = "",
    ) -> None:
        """Measure the declared taps of one place; a declared tap that is not shown is a failure. They are
        held ``against`` the reference's own standards, unless others are given: those of operations that
        each are ``given`` Meta's values, or of a ``relation``, which may find a ``problem`` by itself.

        Raises LookupError for a place that the contract does not name, and where the reference's
        own taps are not of the tap table's shapes.
        """
        names = self._open.pop((mode, place), None)
        if names is None:
            if (mode, place) in self.declared:
                return
            raise LookupError(f"{mode} {place} is not in the contract of this test")
        drawn = self._reference.input
        standards = self._reference.part(place, mode) if against is None else against
        family = family_of(self.variant)
        where = str(family.numbered(self.variant, place))
        records, known = [], {}
        for tap in names:
            known[tap] = standards[tap]
            table = family.extent(family.taps[tap], self.variant, drawn.batch, self._reference.grid)
            if known[tap].meta.shape != table and not relation:
                raise LookupError(f"{tap}: the reference has {known[tap].meta.shape}, not {table}")
            compared = yardstick.compare(known[tap], shown.get(tap))
            record = measurement(
                replace(compared, problem=problem) if problem else compared, drawn,
                family=family.name, variant=self.variant.name, stage=self.stage,
                parent=self.parent, mode=mode, place=where, tap=tap,
                runtime=self.runtime, fault=None, layer=self.layer, relation=relation,
            )  # fmt: skip
            record = judged(record, self.deviations)
            if record.failed and not relation:
                first = not family.ancestors(tap) & {one.tap for one in records if one.failed}
                value = shown.get(tap) if first or mode == LOCAL else None
                record = self._explained(record, place, known[tap], value, given)
            if not relation and record.strength > self._strongest.get((mode, place, tap), -1.0):
                self._strongest[mode, place, tap] = record.strength
                record = _broken_down(record, known, shown)
            records.append(record)
        if not (self.picture or relation) and (found := divergence.first(records)):
            worst = _broken_down(found.worst, known, shown)
            self.picture = (
                picture.draw(self.variant, worst, worst.breakdown) if worst.breakdown else ""
            )
        self.taken += records
        self.accounts[-1].compared += sum(not m.problem for m in records)

    def relate(self, relation: str, reference: Any, outcome: Outcome) -> None:
        """Measure what a model's own values came out as in a relation, at the last place, with the floors
        that the reference has on that input."""
        self.begin(reference)
        last = reference.places[-1]
        known = reference.part(last, CHAINED)
        declared = self.wanted(CHAINED, last)
        if outcome.refused:
            self.waive(last, CHAINED, declared)
            del self._open[CHAINED, last]
            return
        self.waive(last, CHAINED, optional(reference.family, declared, outcome.expected))
        wanted = {tap: outcome.expected[tap] for tap in self.wanted(CHAINED, last)}
        self.compare(
            last, outcome.shown, CHAINED, relations.standards(wanted, known), relation=relation,
            problem=outcome.problem,
        )  # fmt: skip

    def _explained(
        self, record: Measurement, place: Place, standard: Any, value: Any, given: Shown | None
    ) -> Measurement:
        """A departing measurement with the operator's name, and the mistake that it is, where nothing
        that it is computed from departs; of a tap that is asked for on its first inputs."""
        at = (record.mode, place, record.tap)
        known = self._reasons.setdefault(at, [])
        asked = record.mode != CHAINED and not record.problem and value is not None
        if asked and len(known) < ASKED:
            known.append(self.alike(self._reference, record.mode, place, standard, value, given))
        like = known[-1] if asked and known else ""
        return msgspec.structs.replace(record, node=self.named(place, record.tap), like=like)

    def close(self) -> None:
        """End an input: record what was compared, and judge it."""
        self.record(self.taken)
        drawn, found = self._reference.input, divergence.first(self.taken)
        words, place = "", None
        if found:
            failed = sum(m.failed for m in self.taken)
            place = self._place_of(found.worst)
            words = "\n".join(filter(None, (
                str(found),
                self.picture,
                f"{failed} of {counted(len(self.taken), 'comparison')} failed on {drawn}.",
                f"Reproduce: {replace(found, options=self.options, program=self.program).command}",
            )))  # fmt: skip
            self.accounts[-1].failure = words
        elif self._open or not (self.taken or self.accounts[-1].waived):
            missing = ", ".join(f"{mode} {place}" for mode, place in self._open) or "everything"
            words = f"{self.variant.name}: {self.stage}: declared and not compared on {drawn}: {missing}"
        strain = max((m.strain for m in self.taken), default=0.0)
        known = frozenset(m.tap for m in self.taken if listed(m, self.deviations))
        self._verdicts[drawn] = Verdict(words, place, strain, known)
        self._reference, self.taken, self._open = None, [], {}

    def hold(self) -> None:
        """Fail if any tap of this input is over its limit, naming the first divergence, or if
        anything that was declared was not compared."""
        __tracebackhide__ = True
        if self._now not in self._verdicts:
            self.close()
        assert self._now is not None
        verdict = self._verdicts[self._now]
        if verdict.words:
            if self._now not in self.pinned:
                self.focus = verdict.place
            self._depart(verdict.words)
        if self.target:
            self.target(verdict.strain)

    @property
    def known(self) -> frozenset[str]:
        """The taps of this input at which the stage is known to depart, be it within a limit here."""
        return self._verdicts[self._now].known if self._now in self._verdicts else frozenset()

    def _depart(self, words: str) -> NoReturn:
        """Fail. Always from this line: Hypothesis tells failures apart by where they are raised."""
        __tracebackhide__ = True
        raise Departure(words)

    def _place_of(self, worst: Measurement) -> Place:
        family = family_of(self.variant)
        places = family.places(self.variant)
        return next(p for p in places if str(family.numbered(self.variant, p)) == worst.place)


def optional(family: Any, declared: Iterable[str], shown: Shown) -> list[str]:
    """Of what a whole model may return the taps that it does not, and need not."""
    return [tap for tap in declared if tap not in shown and tap not in family.published]


def _broken_down(record: Measurement, known, shown: Shown) -> Measurement:
    """A measurement with its breakdown; as it is, where there was nothing to compare."""
    if record.problem or record.breakdown:
        return record
    inside = breakdown(known[record.tap], shown[record.tap], record.token)
    return msgspec.structs.replace(record, breakdown=inside)


#: The published workflow's own acceptance.
GATE_COSINE, GATE_MAX_ABS = 0.999999, 1e-5


@dataclass(frozen=True)
class Gate:
    """The published workflow's two figures for one tap, over every image of the batch."""

    cosine: float  # the smallest
    max_abs: float

    @property
    def passed(self) -> bool:
        return self.cosine > GATE_COSINE and self.max_abs < GATE_MAX_ABS


def published_gate(shown: np.ndarray, meta: np.ndarray) -> Gate:
    """The workflow's acceptance of a tap (B, D) against Meta's float32 of the same shape."""
    ours, theirs = shown.astype(np.float64), meta.astype(np.float64)
    sizes = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    cosine = (ours * theirs).sum(-1) / sizes
    return Gate(float(cosine.min()), float(np.abs(ours - theirs).max()))


def hold_published(reference, shown: Shown, known: Container[str] = ()) -> None:
    """Fail if the workflow's own gate refuses what a whole model returns, but for taps at which it is
    known to depart; one that is declared and not shown was told before."""
    standards = reference.part(reference.places[-1], CHAINED)
    for tap in (one for one in reference.family.published if one in shown and one not in known):
        gate = published_gate(shown[tap], standards[tap].meta)
        assert gate.passed, f"{tap}: cosine {gate.cosine:.9f}, max |Δ| {gate.max_abs:.2e}"
