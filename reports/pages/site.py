"""A report: the pages and files that are views of what runs recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.records.divergence import Divergence
from dinov3_parity.parity.records.header import called_in
from dinov3_parity.parity.records.reader import Run, joined, read
from dinov3_parity.parity.records.run_folder import FRAGMENTS, MEASUREMENTS, RUN
from dinov3_parity.reports import changes, evidence
from dinov3_parity.reports.changes import Changes
from dinov3_parity.reports.evidence import Case
from dinov3_parity.reports.pages import comparison, deviations, faults, html, matrix, overview
from dinov3_parity.reports.texts import junit, markdown
from dinov3_parity.reports.texts import verdict as for_machines
from dinov3_parity.reports.texts.markdown import REPRODUCER, SUMMARY
from dinov3_parity.reports.verdicts import DEPARTS, Verdict, verdict


@dataclass(frozen=True)
class Site:
    """What a report is made from: a run (or several as one), a matrix, a scoreboard of faults, and
    the run before, to compare with. Any of them may be missing."""

    run: Run | None = None
    cells: matrix.Merged | None = None
    board: dict[str, Any] | None = None
    before: Run | None = None
    raw: list[Path] = field(default_factory=list)  # the files of records it was read from

    @cached_property
    def verdict(self) -> Verdict | None:
        return verdict(self.run.header, self.run.found, self.run.lost) if self.run else None

    @cached_property
    def cases(self) -> list[Case]:
        """The case for each variant's first divergence."""
        first: dict[str, tuple[str, Divergence]] = {}
        if not self.run or not self.verdict:
            return []
        for edge in self.verdict.edges:
            if edge.verdict == DEPARTS and edge.divergence:
                first.setdefault(edge.variant, (edge.stage, edge.divergence))
        return [
            evidence.case(
                departed,
                [m for m in self.run.found if (m.variant, m.stage) == (variant, stage)],
                called_in(self.run.header, variant, departed.worst.family),
            )
            for variant, (stage, departed) in first.items()
        ]

    @cached_property
    def changes(self) -> Changes | None:
        if not self.run or not self.before:
            return None
        return changes.compare(self.before.found, self.run.found)

    @property
    def pages(self) -> tuple[str, ...]:
        """The names of its pages."""
        made = {
            html.OVERVIEW: self.run,
            html.COMPARISON: self.changes,
            html.MATRIX: self.cells,
            html.FAULTS: self.board,
            html.DEVIATIONS: True,
            html.ENVIRONMENT: self.run or self.cells,
        }
        return tuple(name for name, about in made.items() if about)

    @property
    def front(self) -> str:
        """The page to open first."""
        return self.pages[0]

    @cached_property
    def summary(self) -> str:
        """summary.md."""
        parts = []
        if self.run and self.verdict:
            parts.append(markdown.summary(self.run, self.verdict, self.cases, self.changes))
        if self.cells:
            lines = (f"- {markdown.text(line)}" for line in matrix.summary(self.cells))
            parts.append("\n".join(["## onnxruntime matrix\n", *lines]) + "\n")
        if self.board:
            parts += [f"## Fault catalogue\n\n{line}.\n" for line in faults.told(self.board)]
        return markdown.bounded("\n".join(parts))

    def write(self, folder: Path) -> Path:
        """Write every page and file of the report; the path of the page to open first.

        The cells of a matrix are written, too, merged. What an earlier report in the folder said of a
        departure or a comparison does not outlive it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pages = self.pages
        files = tuple(os.path.relpath(path, folder) for path in self.raw)
        texts: dict[str, str] = {SUMMARY: self.summary}
        if self.run and self.verdict:
            texts[html.OVERVIEW] = overview.render(self.run, self.verdict, self.cases, pages, files)
            machine = for_machines.told(self.run, self.verdict, self.cases)
            texts[for_machines.PAGE] = for_machines.text(machine)
            if self.cases:
                texts[REPRODUCER] = markdown.reproducer(self.run, self.cases[0])
        if self.changes and self.before and self.run:
            texts[html.COMPARISON] = comparison.render(self.before, self.run, self.changes, pages)
        if self.cells:
            texts[html.MATRIX] = matrix.render(self.cells, pages, files)
            matrix.write(folder, self.cells)
        if self.board:
            texts[html.FAULTS] = faults.render(self.board, pages)
        texts[html.DEVIATIONS] = deviations.render(pages, self.cells.records if self.cells else [])
        if html.ENVIRONMENT in pages:
            texts[html.ENVIRONMENT] = html.render(
                html.ENVIRONMENT,
                pages,
                run=self.run and self.run.header,
                matrix=self.cells.runs if self.cells else [],
            )
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
        for name in {REPRODUCER, html.COMPARISON}.difference(texts):
            (folder / name).unlink(missing_ok=True)
        if self.run and self.run.header["tests"]:
            junit.write(folder, self.run.header)
        return folder / self.front


def gather(folders: Iterable[Path], before: Iterable[Path] = ()) -> Site:
    """Everything that runs left under some folders: measured runs, cells of the matrix, scoreboards.

    Raises ParityError where a folder holds nothing of the kind, or things that do not go together.
    """
    runs, with_cells, boards, raw = [], [], [], []
    for folder in folders:
        own = run_folders(folder)
        cells = sorted(path.parent for path in folder.rglob(matrix.RECORDS))
        scores = sorted(folder.rglob(faults.FILE))
        if not (own or cells or scores):
            read(folder)  # says what is missing
            raise ParityError(f"{folder} holds nothing to report.")
        runs += map(read, own)
        with_cells += cells
        boards += scores
        raw += [path for one in own for path in (one / MEASUREMENTS, one / RUN) if path.is_file()]
        raw += [one / matrix.RECORDS for one in cells] + scores
    return Site(
        run=joined(runs) if runs else None,
        cells=matrix.merged(with_cells) if with_cells else None,
        board=json.loads(boards[-1].read_text()) if boards else None,
        before=joined([read(one) for folder in before for one in run_folders(folder) or [folder]])
        if before
        else None,
        raw=raw,
    )


def run_folders(folder: Path) -> list[Path]:
    """The folders of measured runs at or under a folder."""
    marks = (*folder.rglob(MEASUREMENTS), *folder.rglob(FRAGMENTS), *folder.rglob(RUN))
    found = sorted({path.parent for path in marks})
    return [one for one in found if not (one / matrix.RECORDS).is_file()]
