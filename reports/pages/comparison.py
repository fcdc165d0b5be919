"""The page of two runs beside each other, for a pull request."""

from __future__ import annotations

from dinov3_parity.parity.records.reader import Run
from dinov3_parity.reports.changes import (
    BETTER,
    DEPARTS,
    FACTOR,
    GONE,
    HOLDS,
    NEW,
    WORSE,
    Changes,
    differences,
    figure,
    outcomes,
)
from dinov3_parity.reports.pages import html


def render(before: Run, after: Run, found: Changes, pages: tuple[str, ...]) -> str:
    """The page."""
    return html.render(
        html.COMPARISON, pages, before=before, after=after, comparison=found, factor=FACTOR,
        figure=figure,
        differences=differences(before, after), outcomes=outcomes(before, after),
        kinds=[(kind, found.of(kind)) for kind in (DEPARTS, WORSE, HOLDS, BETTER, NEW, GONE)],
        worse=(DEPARTS, WORSE),
    )  # fmt: skip
