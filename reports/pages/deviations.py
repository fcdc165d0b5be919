"""Known departures of upstream projects: what the matrix's policy lists, and what else was found."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dinov3_parity import parity
from dinov3_parity.parity.matrix import deviations
from dinov3_parity.parity.matrix.cell import Record
from dinov3_parity.reports.pages import html

FINDINGS = Path(parity.__file__).with_name("upstream.toml")


@dataclass(frozen=True)
class Finding:
    """Something that a published package does, the versions it was seen in, how to see it; its
    effect on what a model computes, as a noise ratio."""

    package: str
    finding: str
    effect: str
    see: str


def findings() -> list[Finding]:
    """Every finding, in the order in which they were made."""
    return [Finding(**told) for told in tomllib.loads(FINDINGS.read_text())["finding"]]


def render(pages: tuple[str, ...], cells: Sequence[Record]) -> str:
    """The page; ``cells`` are those of a runtime matrix, if there was one."""
    policy = [
        {"entry": entry, "seen": sum(entry.covers(c.cell) and entry.explains(c) for c in cells)}
        for entry in deviations.load()
    ]
    return html.render(html.DEVIATIONS, pages, policy=policy, findings=findings(), cells=len(cells))


def document() -> str:
    """The findings as docs/upstream.md."""
    lines = [
        "# Upstream findings\n",
        "What stands in the way of a faithful port in the published packages, with the versions it was",
        "seen in, its effect on what a model computes, as a [noise ratio](yardstick.md) (1 is as good as",
        "Meta's float32), and the shortest way to see it. The suite works around each; none is patched.",
        "Figures are of vits16 with the synthetic checkpoint, measured again by",
        "`selftests/docs/test_upstream.py`. This page is written from `parity/upstream.toml` by",
        "`python -m dinov3_parity.reports.pages.deviations`.\n",
        "| package | finding | effect | how to see it |",
        "| --- | --- | --- | --- |",
        *(f"| {one.package} | {one.finding} | {one.effect} | {one.see} |" for one in findings()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
