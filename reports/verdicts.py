"""Verdicts: one a variant and edge of the pipeline, and one of the whole run, from its records.

An edge is a stage and the stage that its weights come from. A stage that only passes on what its
parent did wrong *repeats* it: at each place where it is over the limit its parent is as far off, on
the same input, up to what the edge itself may add.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from dinov3_parity.parity.inputs.drawn import CHOSEN
from dinov3_parity.parity.records import divergence, stages
from dinov3_parity.parity.records.deviations import Deviation, Tally, tallies
from dinov3_parity.parity.records.divergence import REFERENCE, Divergence
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.run_folder import FAILED, FAILED_ITSELF, OK, PORT, missing
from dinov3_parity.parity.words import counted

HOLDS, DEPARTS, REPEATS, KNOWN, INCOMPLETE, OUTDATED, NOTHING = (
    "holds", "departs", "repeats", "known", "incomplete", "outdated", "nothing compared",
)  # fmt: skip

#: Beyond its limit a repeated ratio may differ by this share: larger values round more coarsely.
_SHARE = 0.01


@dataclass(frozen=True)
class Edge:
    """What the records say of one stage of a variant; ``strongest`` is its strongest measurement, of
    those that are no known departures where there are any.

    ``divergence`` is its first departure: of its own, where it has one. ``missing`` is how much was
    declared of it and not compared.
    """

    variant: str
    stage: str
    parent: str
    verdict: str
    divergence: Divergence | None
    strongest: Measurement
    compared: int
    failed: int
    known: int = 0
    missing: int = 0

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, or a few."""
        if self.verdict == INCOMPLETE:
            but = " but for known departures" if self.known else ""
            return (
                f"{self.stage} was compared against {self.parent} in part: {_short_of(self.missing)}. "
                f"What was is within its limits{but}: {_but_for(self.strongest)}."
            )
        if self.verdict == KNOWN:
            return (
                f"{self.stage} holds against {self.parent} but for known departures, on "
                f"{counted(self.known, 'comparison')}: {_but_for(self.strongest)}."
            )
        if self.verdict == HOLDS or self.divergence is None:
            return f"{self.stage} holds against {self.parent}: {strongest_of(self.strongest)}."
        if self.verdict == DEPARTS:
            return str(self.divergence).removeprefix(f"{self.variant}: ")
        return (
            f"{self.stage} repeats {self.parent}'s departure: at {self.divergence.worst.where} "
            f"({self.divergence.worst.mode}) it is {divergence.strength_of(self.divergence.worst)}, "
            f"as {self.parent} is there; nothing beyond what it was given."
        )


def strongest_of(m: Measurement) -> str:
    """A measurement within its limits, in a few words."""
    by_token = m.token_ratio / m.token_limit > m.ratio / m.limit
    figure = (
        f"{m.token_ratio:.2f} of limit {m.token_limit:g} at one token"
        if by_token
        else f"{m.ratio:.2f} of limit {m.limit:g}"
    )
    return f"its strongest noise ratio is {figure}, at {m.where} on {m.input}"


def _short_of(missing: int) -> str:
    """How much of an edge was not compared; where nothing, a port failed beside its comparisons."""
    were = "was" if missing == 1 else "were"
    told = f"{counted(missing, 'tap')} {were} declared and not compared"
    return told if missing else "the port itself failed"


def _but_for(m: Measurement) -> str:
    """The strongest measurement beside known departures, in a few words."""
    return (
        strongest_of(m)
        if not m.known
        else f"nothing else was compared; {divergence.strength_of(m)}"
    )


def edges(
    found: Sequence[Measurement],
    options: Sequence[str] = (),
    pipeline: Iterable[Mapping[str, str]] = (),
    program: str = divergence.PYTEST,
) -> list[Edge]:
    """The edges of every variant, in the order of the records and of the tree of stages; ``options``
    are those of the run that its repetition needs as well, ``pipeline`` and ``program`` are the run's."""
    told, order = [], stages.ordered(stages.parents(found), pipeline)
    by_variant: dict[str, dict[str, list[Measurement]]] = {}
    for m in found:
        by_variant.setdefault(m.variant, {}).setdefault(m.stage, []).append(m)
    for variant, own in by_variant.items():
        for stage in (one for one in order if one in own):
            edge = _edge(variant, stage, own)
            if edge.divergence:
                again = replace(edge.divergence, options=tuple(options), program=program)
                edge = replace(edge, divergence=again)
            told.append(edge)
    return told


def _edge(variant: str, stage: str, by_stage: dict[str, list[Measurement]]) -> Edge:
    own = by_stage[stage]
    parent = own[0].parent
    verdict, departed = HOLDS, None
    listed = [m for m in own if m.known]
    if failing := [m for m in own if m.failed]:
        verdict, about = _own(failing, by_stage.get(parent, []))
        if first := divergence.first([*(m for m in own if m.passed), *about]):
            departed = _counted(first, own)
    elif listed:
        verdict = KNOWN
    return Edge(
        variant, stage, parent or REFERENCE, verdict, departed,
        max(own, key=lambda m: (not m.known, m.strength)), len(own), len(failing), len(listed),
    )  # fmt: skip


def _own(failing: list[Measurement], parents: list[Measurement]) -> tuple[str, list[Measurement]]:
    """Whether failed measurements are a stage's own or its parent's, and those that say so. What is known
    of the parent has to be listed of the stage, too.

    What the parent was not measured at is its parent's where something else is.
    """
    given = {_key(m): m for m in parents}
    known = [m for m in failing if _key(m) in given]
    repeated = [m for m in known if _repeats(m, given[_key(m)])]
    if not repeated:
        return DEPARTS, failing
    passed_on = set(map(id, repeated))
    added = [m for m in known if id(m) not in passed_on]
    return (DEPARTS, added) if added else (REPEATS, repeated)


def _key(m: Measurement) -> tuple:
    return m.mode, m.place, m.tap, m.batch, m.grid, m.seed, m.content, m.scale


def _repeats(m: Measurement, given: Measurement) -> bool:
    """Whether a failed measurement is its parent's own, up to a limit's worth of rounding."""
    pairs = (m.ratio, given.ratio, m.limit), (m.token_ratio, given.token_ratio, m.token_limit)
    if not given.failed or m.problem != given.problem:
        return False
    return all(
        own == theirs
        if own is None or theirs is None
        else abs(own - theirs) <= max(limit, _SHARE * theirs)
        for own, theirs, limit in pairs
    )


def _counted(departed: Divergence, own: list[Measurement]) -> Divergence:
    """A divergence whose counts are of every measurement there, repeated ones among them."""
    there = divergence.at_place(departed.worst, own)
    return replace(departed, inputs=len(there), failing=sum(m.failed for m in there))


@dataclass(frozen=True)
class Verdict:
    """What a run says as a whole. ``broken`` are tests that failed on something other than a
    comparison, ``gaps`` what was declared and not compared, or is lost; ``tallies`` say what became of
    the entries of its known departures, ``ports`` which ports themselves failed, and on which
    variant; ``uncompared`` which outputs of files nothing can be compared with.
    """

    word: str
    edges: list[Edge]
    broken: list[str]
    gaps: list[str]
    tallies: list[Tally] = field(default_factory=list)
    ports: list[tuple[str, str]] = field(default_factory=list)
    uncompared: list[str] = field(default_factory=list)

    @property
    def stale(self) -> list[str]:
        """What of the entries fails the run: they have expired, or are about what no longer happens."""
        return [words for one in self.tallies for words in one.stale]

    @property
    def reasons(self) -> list[str]:
        """What else than an edge keeps a run from holding."""
        return [*self.broken, *self.gaps, *self.stale]

    @property
    def known(self) -> list[Tally]:
        """The entries whose departures the run met."""
        return [one for one in self.tallies if one.known]

    @property
    def unseen(self) -> list[Tally]:
        """The entries about things that the run did not compare."""
        return [one for one in self.tallies if not one.compared]

    @property
    def headline(self) -> str:
        """The verdict in one line, with what was not compared."""
        told = f"; not compared: {', '.join(self.uncompared)}" if self.uncompared else ""
        return f"{self._headline}{told}"

    @property
    def _headline(self) -> str:
        if not self.edges and self.word != DEPARTS:
            return "Nothing was compared"
        if self.ports and not self.first:
            variant, stage = self.ports[0]
            more = f", and {len(self.ports) - 1} more" if self.ports[1:] else ""
            return f"{variant}: {stage} itself failed, and was not compared in full{more}"
        departed = [e for e in self.edges if e.verdict == DEPARTS]
        if departed and (found := departed[0].divergence):
            first, where = departed[0], found.worst.where
            more = f", and {len(departed) - 1} more" if departed[1:] else ""
            return f"{first.variant}: {first.stage} departs from {first.parent} at {where}{more}"
        if self.word == DEPARTS:
            rest = "every comparison is within its limit" if self.edges else "nothing was compared"
            return f"A test failed; {rest}"
        if self.word == INCOMPLETE:
            return "Incomplete: what was compared is within its limits, and not everything was compared"
        if self.word == OUTDATED:
            one = f"{counted(len(self.stale), 'known departure')} to be looked at"
            return f"Outdated: what was compared holds; {one}"
        names = list(dict.fromkeys(e.stage for e in self.edges))
        variants = list(dict.fromkeys(e.variant for e in self.edges))
        but = f", with {counted(len(self.known), 'known departure')}" if self.known else ""
        return f"{', '.join(variants)}: {', '.join(names)} {'hold' if names[1:] else 'holds'}{but}"

    @property
    def first(self) -> Edge | None:
        """The edge at which something first departs."""
        return next((e for e in self.edges if e.verdict == DEPARTS), None)

    def of(self, variant: str) -> list[Edge]:
        return [e for e in self.edges if e.variant == variant]


def verdict(header: dict[str, Any], found: Sequence[Measurement], lost: Iterable[str]) -> Verdict:
    """The verdict of a run: ``header`` is its run.json, ``lost`` what could not be read."""
    ports = _failed_ports(header)
    told = [
        _in_part(edge, header, ports)
        for edge in edges(found, header["options"], header["pipeline"], header["program"])
    ]
    broken, gaps = [*_broken(header, told)], [*missing(header), *lost]
    tallied = tallied_of(header, found)
    if header["exit"] not in ("", OK, FAILED):
        gaps.append(f"the run ended early: {header['exit']}")
    if broken or any(e.verdict == DEPARTS for e in told):
        word = DEPARTS
    elif gaps:
        word = INCOMPLETE
    elif any(one.stale for one in tallied):
        word = OUTDATED
    else:
        word = HOLDS if told else NOTHING
    stages = header.get("stages", {}).values()
    unread = [one["not_compared"] for one in stages if one.get("not_compared")]
    return Verdict(word, told, broken, gaps, tallied, ports, unread)


def _in_part(edge: Edge, header: dict[str, Any], ports: list[tuple[str, str]]) -> Edge:
    """An edge as it stands beside what was declared of it: one that fell short does not hold."""
    about = edge.variant, edge.stage
    missing = sum(
        gap["declared"] - gap["compared"]
        for gap in header["contract"]["missing"]
        if (gap["variant"], gap["stage"]) == about
    )
    short = edge.verdict in (HOLDS, KNOWN) and (missing or about in ports)
    return replace(edge, verdict=INCOMPLETE if short else edge.verdict, missing=missing)


def _failed_ports(header: dict[str, Any]) -> list[tuple[str, str]]:
    """The variants and ports of tests in which the port itself failed, each once."""
    found = (
        (str(told.get("variant", "")), str(told.get("stage", "")))
        for test in header["tests"]
        if (told := test["properties"]).get(PORT) == FAILED_ITSELF
    )
    return list(dict.fromkeys(found))


def tallied_of(header: dict[str, Any], found: Sequence[Measurement]) -> list[Tally]:
    """What became of the entries of a run's known departures. On chosen inputs, or where a run was cut
    short, one that does not show may still happen."""
    entries = msgspec.convert(header["deviations"], list[Deviation])
    whole = header["inputs"]["profile"] != CHOSEN and header["exit"] in ("", OK, FAILED)
    return tallies(entries, found, whole)


def _broken(header: dict[str, Any], told: list[Edge]) -> list[str]:
    """Failed tests that no edge's verdict is about, in a line each."""
    departed = {(e.variant, e.stage) for e in told if e.failed}
    lines = []
    for test in header["tests"]:
        if test["outcome"] not in ("failed", "error"):
            continue
        about = test["properties"].get("variant"), test["properties"].get("stage")
        if about in departed and _compared(test["properties"]):
            continue
        lines.append(f"{test['test'].split('/')[-1]}: {_said(test)}")
    return lines


def _compared(properties: dict[str, Any]) -> bool:
    """Whether a failed test's own comparisons are why: the strongest of them is over its limit."""
    ratio, limit = properties.get("ratio"), properties.get("limit", 0)
    within = isinstance(ratio, int | float) and isinstance(limit, int | float) and ratio <= limit
    return "ratio" in properties and not within


def _said(test: dict[str, Any]) -> str:
    """The line of a failed test's words that says what is wrong: pytest marks it with an E."""
    lines = [line.strip() for line in test["words"].splitlines() if line.strip()]
    marked = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
    return (marked or lines or [test["outcome"]])[0][:300]
