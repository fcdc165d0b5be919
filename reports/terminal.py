"""The end of a run: merge what was measured, write the report, and say in a few lines what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov3_parity.parity.records.deviations import Deviation, near
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.reader import Run, joined, read
from dinov3_parity.parity.records.run_folder import FAILED, MEASUREMENTS, OK, RUN, merge, rewrite
from dinov3_parity.parity.words import counted
from dinov3_parity.reports.figures import costs
from dinov3_parity.reports.pages import faults
from dinov3_parity.reports.pages.site import Site
from dinov3_parity.reports.texts import github
from dinov3_parity.reports.verdicts import (
    DEPARTS,
    HOLDS,
    INCOMPLETE,
    KNOWN,
    Edge,
    Verdict,
    tallied_of,
)

#: What a terminal, or a CI engine that reads its lines, would take for more than text.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: Edges that are told one by one, and known departures; the page has all of them.
_TOLD = 3

#: How the line of a known departure begins; it is shown in yellow.
_KNOWN = "known: "


@dataclass(frozen=True)
class Finished:
    """A finished run, read once for the report, the terminal and the exit status."""

    folder: Path
    site: Site
    page: Path

    @property
    def _run(self) -> Run:
        assert self.site.run is not None  # what is finished was a run
        return self.site.run

    @property
    def _verdict(self) -> Verdict:
        assert self.site.verdict is not None
        return self.site.verdict

    @property
    def fails(self) -> bool:
        """Whether it fails as a whole, whatever its tests say: it compared less than it had declared, or
        a known departure is to be looked at."""
        return bool(self._run.header["contract"]["missing"] or self._verdict.stale)

    def summary(self) -> list[str]:
        """The report in some ten lines, and where it is."""
        told = [*self.told(), stored(self._run.header)]
        return ["", *told, f"report: {self.page}"]

    def told(self) -> list[str]:
        """What departs, why and what to do, or how strong the strongest ratio is; what was compared."""
        run, verdict = self._run, self._verdict
        here = [stage["name"] for stage in run.header["pipeline"]]
        lines = verdicts(verdict.edges) + known(verdict, here)
        for case in self.site.cases[:1]:
            lines += [f"  why: {' '.join(filter(None, (*case.why[:2], case.gate)))}"]
            if case.suspects:
                names = ", ".join(fault.name for fault in case.suspects[:4])
                more = f", and {len(case.suspects) - 4} more" if case.suspects[4:] else ""
                told = case.suspicion
                if not case.divergence.like:
                    told = "suspects, of the mistakes that first show there"
                lines.append(f"  {told}: {names}{more}")
            lines.append(f"  reproduce: {case.divergence.command}")
        lines += outputs(run.header)
        lines += [*verdict.broken[:_TOLD], *verdict.gaps, *verdict.stale[:_TOLD]]
        told = [*lines, counts(run.header, run.found)]
        return [_CONTROLS.sub("�", line) for line in told]

    def on_github(self) -> list[str]:
        """Annotations for GitHub Actions; the step's summary is written beside."""
        github.step_summary(self.site.summary)
        return github.annotations(self._verdict)  # pyright: ignore[reportPrivateImportUsage]


def finish(folder: Path, header: dict[str, Any]) -> Finished | None:
    """Merge a run's fragments and write its report beside them; None if nothing was measured."""
    if not merge(folder, header):
        return None
    run = read(folder)
    stale = any(one.stale for one in tallied_of(run.header, run.found))
    if stale and run.header["exit"] == OK:
        run.header["exit"] = FAILED
    run.header["variants"] = {
        name: costs.of(name, run.header, [m for m in run.found if m.variant == name])
        for name in dict.fromkeys(m.variant for m in run.found)
    }
    rewrite(folder, run.header)
    scores = folder / faults.FILE
    board = json.loads(scores.read_text()) if scores.is_file() else None
    site = Site(joined([run]), board=board, raw=[folder / MEASUREMENTS, folder / RUN])
    return Finished(folder, site, site.write(folder))


def last(finished: Finished | None, board: list[str]) -> list[str]:
    """The last lines that a terminal shows: of the fault catalogue, for GitHub, of the report; the
    very last says where to read on."""
    if finished is None:
        return board
    annotations = finished.on_github() if github.on_github() else []
    return [*board, *annotations, *finished.summary()]


def is_known(line: str) -> bool:
    """Whether a line is about known departures."""
    return line.startswith(_KNOWN)


def outputs(header: dict[str, Any]) -> list[str]:
    """What each output of a file was found to hold, and how its images go in, a line a file."""
    stages = header.get("stages", {}).items()
    told = [(name, one) for name, one in stages if one.get("outputs")]
    return [
        f"{name} takes {one.get('input', '')}; returns {one['outputs']}"
        + f"; it is {one['numbers']}, and held by what Meta's own model does in that"
        * bool(one.get("numbers"))
        for name, one in told[:_TOLD]
    ]


def known(verdict: Verdict, stages: Iterable[str] = ()) -> list[str]:
    """The known departures that a run met, a line each, and which are about other things; of these those
    whose stage is none of the run's ``stages``, but for a slip in its name."""
    lines = [one.words for one in verdict.known[:_TOLD]]
    if more := len(verdict.known) - _TOLD:
        lines += [counted(more, "more known departure")] if more > 0 else []
    if verdict.unseen:
        names = ", ".join(_unseen(one.entry, set(stages)) for one in verdict.unseen[:_TOLD])
        rest = f", and {len(verdict.unseen) - _TOLD} more" if verdict.unseen[_TOLD:] else ""
        lines.append(f"not looked at, nothing that they are about was compared: {names}{rest}")
    return [f"{_KNOWN}{line}" for line in lines]


def _unseen(entry: Deviation, stages: set[str]) -> str:
    slips = {one: near(one, stages) for one in entry.stages if stages and one not in stages}
    told = [
        f"no stage is called {one!r} here" + (f", perhaps {close}?" if close else "")
        for one, close in slips.items()
    ]
    return f"{entry.label} ({'; '.join(told)})" if told else entry.label


def verdicts(edges: list[Edge]) -> list[str]:
    """A variant in a sentence: that it holds and how strong its strongest ratio is, or each of the
    first edges that do not."""
    lines = []
    for variant in dict.fromkeys(e.variant for e in edges):
        own = [e for e in edges if e.variant == variant]
        bad = [e for e in own if e.verdict not in (HOLDS, KNOWN)]
        if bad:
            lines += [f"{variant}: {e.sentence}" for e in bad[:_TOLD]]
            if more := bad[_TOLD:]:
                departs = sum(e.verdict == DEPARTS for e in more)
                partly = sum(e.verdict == INCOMPLETE for e in more)
                rest = f", {partly} compared in part" if partly else ""
                lines.append(
                    f"{variant}: {counted(len(more), 'more stage')}, {departs} of their own{rest}"
                )
            continue
        stages = ", ".join(e.stage for e in own)
        hold = "hold" if own[1:] else "holds"
        but = " but for known departures" if any(e.verdict == KNOWN for e in own) else ""
        others = [e.strongest for e in own if not e.strongest.known]
        if not others:
            lines.append(f"{variant}: {stages} {hold}{but}; nothing else was compared")
            continue
        worst = max(others, key=lambda m: m.strength)
        lines.append(
            f"{variant}: {stages} {hold}{but}; largest noise ratio {worst.ratio:.2f} of limit "
            f"{worst.limit:g}, of one token {worst.token_ratio:.2f} of {worst.token_limit:g} "
            f"({worst.stage}, {worst.where}, {worst.input})"
        )
    return lines


def counts(run: dict[str, Any], found: list[Measurement]) -> str:
    contract = run["contract"]
    failed = sum(m.failed for m in found)
    known = sum(bool(m.known) for m in found)
    declared = counted(contract["declared"], "declared tap")
    plan = f"{run['inputs']['profile']} (seed {run['inputs']['seed']})"
    return (
        f"compared {contract['compared']:,} of {declared} on {counted(contract['inputs'], 'input')}, "
        f"{plan}, {failed:,} failed{f', {known:,} known' if known else ''}"
    )


def stored(run: dict[str, Any]) -> str:
    """What was made and what was reused from the store, by kind."""
    kinds: dict[tuple[str, bool], int] = {}
    made = {a["key"] for a in run["artifacts"] if a["made_now"]}
    for key, kind in {a["key"]: a["kind"] for a in run["artifacts"]}.items():
        kinds[kind, key in made] = kinds.get((kind, key in made), 0) + 1

    def told(new: bool) -> str:
        words = [f"{k} ×{n}" if n > 1 else k for (k, m), n in sorted(kinds.items()) if m == new]
        return ", ".join(words) or "nothing"

    return f"store: made {told(True)}; reused {told(False)}"
