"""What a run says to a machine: verdict.json, one object; see ``reports.texts.verdict``."""

from __future__ import annotations

from typing import Final, Literal

from dinov3_parity.parity.records.header import Checkpoint, Gap
from msgspec import Struct

#: The name and the version of its schema: a key that goes or changes its meaning makes a new version.
SCHEMA: Final = "dinov3-parity verdict"
VERSION: Final = 1

#: How it ends, as an exit code: holds; departs, a port failed, or compared less than it declared;
#: could not run.
HELD: Final = 0
DEPARTED: Final = 1
NOT_RUN: Final = 2

Code = Literal[0, 1, 2]
EdgeWord = Literal["holds", "departs", "repeats", "known", "incomplete"]
Word = Literal["holds", "departs", "incomplete", "outdated", "nothing compared", "could not run"]
EntryWord = Literal["known", "not seen", "not looked at", "stale"]


class Edge(Struct, frozen=True, forbid_unknown_fields=True):
    """A stage of a variant, held against the reference; its weights derive from ``parent``. It is "known"
    where all that departs does so as is known, by ``known`` of its comparisons; "incomplete" where no
    comparison departs, and the port failed or less was compared than was declared."""

    variant: str
    stage: str
    parent: str
    verdict: EdgeWord
    compared: int
    failed: int
    known: int


class KnownTap(Struct, frozen=True, forbid_unknown_fields=True):
    """A tap that departs as is known, by the comparison that is nearest to its ceiling."""

    variant: str
    stage: str
    place: str
    tap: str
    input: str
    ratio: float | None
    limit: float
    token_ratio: float | None
    token_limit: float
    ceiling: float


class KnownDeparture(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the list of known departures, where it stands, and what became of it: ``known``, it
    happened within its ceilings; ``not seen``, it did not and need not have; ``not looked at``, nothing
    that it is about was compared; ``stale``, it fails the run, and ``words`` say why."""

    entry: str
    stages: list[str]
    variants: list[str]
    taps: list[str]
    reason: str
    until: str
    verdict: EntryWord
    compared: int
    known: int
    at: list[KnownTap]
    words: str


class Departing(Struct, frozen=True, forbid_unknown_fields=True):
    """A tap over its limit at a ``place``, by its strongest comparison there. A ratio is null where the
    error is no number; ``problem`` says why a tap could not be compared, and is "" of one that was."""

    tap: str
    input: str
    ratio: float | None
    limit: float
    token_ratio: float | None
    token_limit: float
    problem: str
    comparisons: int
    failed: int
    place: str


class FirstDivergence(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run first departs: by its earliest tap, with every tap over its limit at the same place,
    or, of operations held each alone, at any, in the order of the computation. ``suspects`` are
    mistakes of the fault catalogue that first show there, or the one whose numbers it has; ``repeat`` is
    the command that repeats it."""

    variant: str
    stage: str
    parent: str
    mode: Literal["local", "isolated", "chained"]
    place: str
    tap: str
    input: str
    ratio: float | None
    limit: float
    token_ratio: float | None
    token_limit: float
    problem: str
    words: str
    departing: list[Departing]
    suspects: list[str]
    repeat: str


class FailedTest(Struct, frozen=True, forbid_unknown_fields=True):
    """A test that did not pass, and what it said."""

    test: str
    outcome: Literal["failed", "error"]
    words: str


class MachineVerdict(Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict of a run. ``exit`` is 0 where it holds, but for known departures; 1 where a comparison
    is beyond its limit or was declared and not made, the port itself failed (it raised, crashed, hung or
    returned what no stage returns), or the list of known departures is "outdated"; 2 where the run could
    not be done: ``error`` says why, "" otherwise.

    ``suite`` is the suite's version, ``run`` the run's id, ``command`` what was run, ``repeat`` what
    repeats the first divergence, or the run where there is none. ``reasons`` are what else than an edge
    keeps it from holding, in words; ``missing`` is what was declared and not compared."""

    schema: Literal["dinov3-parity verdict"]
    version: Literal[1]
    suite: str
    run: str
    command: str
    verdict: Word
    exit: Code
    headline: str
    checkpoints: dict[str, Checkpoint]
    edges: list[Edge]
    deviations: list[KnownDeparture]
    first_divergence: FirstDivergence | None
    declared: int
    compared: int
    inputs: int
    missing: list[Gap]
    reasons: list[str]
    failed_tests: list[FailedTest]
    repeat: str
    error: str
