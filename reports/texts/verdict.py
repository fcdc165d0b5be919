"""verdict.json: one run's verdict for a machine, whose schema is ``docs/schema/verdict.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.records.deviations import Tally
from dinov3_parity.parity.records.header import Checkpoint, Gap
from dinov3_parity.parity.records.measurement import LOCAL, Measurement
from dinov3_parity.parity.records.reader import Run
from dinov3_parity.parity.records.run_folder import FAILED, OK
from dinov3_parity.parity.records.verdict import (
    DEPARTED,
    HELD,
    NOT_RUN,
    SCHEMA,
    VERSION,
    Code,
    Departing,
    Edge,
    EdgeWord,
    FailedTest,
    FirstDivergence,
    KnownDeparture,
    KnownTap,
    MachineVerdict,
    Word,
)
from dinov3_parity.reports.evidence import Case
from dinov3_parity.reports.verdicts import DEPARTS, HOLDS, INCOMPLETE, OUTDATED, Verdict

PAGE = "verdict.json"

#: Of a failed test's words so much is told; junit.xml has them all.
_WORDS = 1000

_SUITE = "dinov3-parity"


def told(run: Run, verdict: Verdict, cases: Sequence[Case]) -> MachineVerdict:
    """A run's verdict; ``cases`` are those of its first divergences, the first one first."""
    header, contract = run.header, run.header["contract"]
    first = _first(cases[0], run.found) if cases else None
    code = _exit(header, verdict)
    return MachineVerdict(
        schema=SCHEMA, version=VERSION,
        suite=header["versions"].get(_SUITE, ""), run=header["id"], command=header["command"],
        verdict=cast(Word, verdict.word), exit=code, headline=verdict.headline,
        checkpoints=msgspec.convert(header["checkpoints"], dict[str, Checkpoint]),
        edges=[
            Edge(
                e.variant, e.stage, e.parent, cast(EdgeWord, e.verdict), e.compared, e.failed, e.known
            )
            for e in verdict.edges
        ],
        deviations=list(map(_entry, verdict.tallies)),
        first_divergence=first,
        declared=contract["declared"], compared=contract["compared"], inputs=contract["inputs"],
        missing=msgspec.convert(contract["missing"], list[Gap]),
        reasons=verdict.reasons, failed_tests=_failed(header),
        repeat=first.repeat if first else header["command"],
        error="" if code != NOT_RUN else (verdict.reasons or [verdict.headline])[0],
    )  # fmt: skip


def not_run(error: str, command: str, suite: str) -> MachineVerdict:
    """The verdict where no run came to one."""
    return MachineVerdict(
        schema=SCHEMA, version=VERSION, suite=suite, run="", command=command,
        verdict="could not run", exit=NOT_RUN, headline="Nothing was compared", checkpoints={},
        edges=[], deviations=[], first_divergence=None, declared=0, compared=0, inputs=0, missing=[],
        reasons=[], failed_tests=[], repeat=command, error=error,
    )  # fmt: skip


def text(verdict: MachineVerdict) -> str:
    """The verdict as JSON, a key a line; names in it may be no text, and are replaced."""
    written = msgspec.json.format(_plainly(verdict), indent=1)
    return written.decode("utf-8") + "\n"


def _plainly(verdict: MachineVerdict) -> bytes:
    try:
        return msgspec.json.encode(verdict)
    except UnicodeEncodeError:
        return msgspec.json.encode(_text(msgspec.to_builtins(verdict)))


def _text(value: Any) -> Any:
    """A value with every half of a surrogate pair replaced, which UTF-8 cannot hold."""
    if isinstance(value, dict):
        return {_text(key): _text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _exit(header: dict[str, Any], verdict: Verdict) -> Code:
    """A port that itself failed has departed, whatever else was compared. Beside it only what was
    measured can depart: where nothing was, or the run was cut short with all that it measured within its
    limits, it could not run."""
    if verdict.word == HOLDS:
        return HELD
    if verdict.ports or any(edge.verdict == DEPARTS for edge in verdict.edges):
        return DEPARTED
    ended = header["exit"] in ("", OK, FAILED)
    return (
        DEPARTED
        if ended and verdict.edges and verdict.word in (DEPARTS, INCOMPLETE, OUTDATED)
        else NOT_RUN
    )


def _first(case: Case, found: Sequence[Measurement]) -> FirstDivergence:
    departed = case.divergence
    worst = departed.worst
    order = {name: place for place, name in enumerate(FAMILIES[worst.family].taps)}
    at = (worst.variant, worst.stage, worst.mode)
    by_tap: dict[tuple, list[Measurement]] = {}
    for m in found:
        here = m.place == worst.place or worst.mode == LOCAL
        if here and (m.variant, m.stage, m.mode) == at:
            rank = FAMILIES[m.family].order(Place.read(m.place)), order.get(m.tap, len(order))
            by_tap.setdefault((rank, m.place, m.tap), []).append(m)
    departing = [
        Departing(tap, *_figures(max(own, key=lambda m: m.strength)), len(own), failed, place)
        for (_, place, tap), own in sorted(by_tap.items(), key=lambda one: one[0][0])
        if (failed := sum(m.failed for m in own))
    ]
    return FirstDivergence(
        departed.variant, departed.stage, departed.parent, worst.mode, worst.place, worst.tap,
        *_figures(worst), str(departed), departing, [fault.name for fault in case.suspects],
        departed.command,
    )  # fmt: skip


def _figures(m: Measurement) -> tuple[str, float | None, float, float | None, float, str]:
    return str(m.input), m.ratio, m.limit, m.token_ratio, m.token_limit, m.problem


def _entry(tally: Tally) -> KnownDeparture:
    entry, at = tally.entry, tally.strongest
    if tally.stale:
        word = "stale"
    else:
        word = "known" if tally.known else "not seen" if tally.compared else "not looked at"
    return KnownDeparture(
        entry.label, entry.stages, entry.variants, entry.taps, entry.reason, entry.until, word,
        tally.compared, len(tally.known),
        [
            KnownTap(
                m.variant, m.stage, m.place, m.tap, str(m.input), m.ratio, m.limit, m.token_ratio,
                m.token_limit, m.ceiling or entry.ceiling,
            )
            for m in at
        ],
        " ".join(tally.stale),
    )  # fmt: skip


def _failed(header: dict[str, Any]) -> list[FailedTest]:
    return [
        FailedTest(test["test"], test["outcome"], test["words"][:_WORDS])
        for test in header["tests"]
        if test["outcome"] in ("failed", "error")
    ]
