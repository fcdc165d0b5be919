"""The onnxruntime matrix as a report: records of any number of environments, merged into one grid."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.matrix import deviations, environments
from dinov3_parity.parity.matrix.cell import (
    ABSENT,
    CRASH,
    DRIFT,
    FLOAT32,
    LOW,
    OK,
    UNSUPPORTED,
    Cell,
    Record,
    looked_into,
    record,
)
from dinov3_parity.parity.runtimes.isolated import LEVELS
from dinov3_parity.parity.words import counted
from dinov3_parity.reports.figures import heatmap
from dinov3_parity.reports.pages import html
from packaging.version import Version

RECORDS, RUN = "cells.jsonl", "run.json"

#: A verdict at a glance, for those who do not see its colour.
_SIGNS = {OK: "✓", DRIFT: "✗", CRASH: "☠", UNSUPPORTED: "∅", ABSENT: "–"}

#: The worst verdict of several cells that one box of the grid holds.
_WORST = (CRASH, DRIFT, UNSUPPORTED, ABSENT, OK)


@dataclass(frozen=True)
class Merged:
    """Runs and their records, in the order of the grid."""

    runs: list[dict[str, Any]]
    records: list[Record]

    @property
    def versions(self) -> list[str]:
        return sorted({r.cell.version for r in self.records}, key=Version)


def merged(folders: Iterable[Path]) -> Merged:
    """The records under any number of folders; the same cell measured twice counts once, the last.

    Raises ParityError where a folder holds none, or they are of different bundles.
    """
    runs, records = [], {}
    for folder in folders:
        files = sorted(folder.rglob(RECORDS))
        if not files:
            raise ParityError(
                f"There is no {RECORDS} under {folder}: no cell of the matrix ran there."
            )
        for file in files:
            runs.append(json.loads((file.parent / RUN).read_text()))
            for line in file.read_text().splitlines():
                found = record(json.loads(line))
                records[found.cell] = found
    if len({run["bundle"] for run in runs}) > 1:
        titles = ", ".join(sorted({f"{run['title']} ({run['bundle'][:8]})" for run in runs}))
        raise ParityError(
            f"These folders are of different bundles, which do not compare: {titles}."
        )
    runs.sort(key=lambda run: (Version(run["onnxruntime"]), run["shard"]))
    return Merged(runs, sorted(records.values(), key=lambda found: _order(found.cell)))


def _order(cell: Cell) -> tuple:
    levels = list(LEVELS)
    return (
        Version(cell.version), cell.precision != FLOAT32, cell.precision, cell.opset, cell.form,
        levels.index(cell.level), cell.threads,
    )  # fmt: skip


def failures(found: Merged) -> list[str]:
    """What no listed deviation explains, and what is listed and did not happen."""
    policy = deviations.load()
    told = [words for one in found.records if (words := deviations.unlisted(one, policy))]
    return told + [
        f"the listed deviation '{name}' is about no cell of these runs"
        for name in deviations.unmatched(found.records, policy)
    ]


def summary(found: Merged) -> list[str]:
    """The matrix in a few lines: what is safe where, first departures, what no entry explains."""
    lines = safe(found)
    counts: dict[str, int] = defaultdict(int)
    for one in found.records:
        counts[one.verdict] += 1
    lines.append(
        f"{counted(len(found.records), 'cell')} on {counted(len(found.versions), 'version')}: "
        + ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(counts.items()))
    )
    lines.append(looked_into(found.records))
    if missing := absent(found):
        lines.append(f"absent, not run or not to be installed: {', '.join(missing)}")
    unexplained = failures(found)
    lines.append(f"{len(unexplained)} of them unexplained" if unexplained else "none unexplained")
    return lines + [f"  {words}" for words in unexplained[:10]]


def absent(found: Merged) -> list[str]:
    """Minor releases that have an environment and of which there is no record."""
    known = {_minor(version) for version in found.versions}
    return [release for release in environments.RELEASES if release not in known]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def safe(found: Merged) -> list[str]:
    """One sentence an opset: ``opset 21: safe on 1.18–1.32; first departure …``."""
    lines = []
    records = [r for r in found.records if r.cell.precision == FLOAT32]
    for opset in sorted({r.cell.opset for r in records}):
        own = [r for r in records if r.cell.opset == opset]
        by_version = {v: [r for r in own if r.cell.version == v] for v in found.versions}
        good = [v for v, of in by_version.items() if of and all(r.verdict == OK for r in of)]
        bad = [r for r in own if r.verdict in (DRIFT, CRASH)]
        told = (
            f"safe on {ranges(good, found.versions)}" if good else "safe on none of these versions"
        )
        if bad:
            told += f"; first departure: {deviations.told(bad[0])}"
        elif len(good) < len(found.versions):
            first = next((r for r in own if r.verdict == UNSUPPORTED), None)
            if first:
                told += f"; refused by the others: {first.words[:160]}"
        lines.append(f"opset {opset}: {told}")
    return lines


def ranges(chosen: list[str], known: list[str]) -> str:
    """Versions in a few words: ``1.18–1.21, 1.24``; a gap in what was chosen ends a range."""
    parts: list[list[str]] = []
    for version in known:
        if version not in chosen:
            parts.append([])
        elif parts and parts[-1]:
            parts[-1].append(version)
        else:
            parts.append([version])
    spans = [part for part in parts if part]
    return ", ".join(
        _minor(part[0]) if len(part) == 1 else f"{_minor(part[0])}–{_minor(part[-1])}"
        for part in spans
    )


def grid(found: Merged, precision: str = FLOAT32) -> dict[str, Any]:
    """A row a version, a column an opset × level: the worst of its forms and threads."""
    boxes: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for one in found.records:
        if one.cell.precision == precision:
            boxes[one.cell.version, one.cell.opset, one.cell.level].append(one)
    opsets = sorted({opset for _, opset, _ in boxes})
    levels = [level for level in LEVELS if any(key[2] == level for key in boxes)]
    rows = [
        (v, [_box(boxes.get((v, opset, level), [])) for opset in opsets for level in levels])
        for v in found.versions
    ]
    nothing = [_box([]) for _ in opsets for _ in levels]
    rows = sorted(rows + [(v, nothing) for v in absent(found)], key=lambda row: Version(row[0]))
    return {"opsets": opsets, "levels": levels, "rows": rows}


def _box(found: list[Record]) -> dict[str, str]:
    if not found:
        return {
            "verdict": ABSENT, "text": ABSENT, "title": "no record of this cell", "level": "",
            "sign": _SIGNS[ABSENT], "first": "",
        }  # fmt: skip
    worst = min(found, key=lambda one: (_rank(one), -(one.ratio or 0)))
    text = f"{worst.ratio:.2g}" if worst.ratio is not None else worst.verdict
    observed = [one.observer for one in found if one.observer is not None]
    title = deviations.told(worst)
    if worst.verdict == OK:
        title += (
            f": {worst.ratio:.2f} of {worst.limit:g} at {worst.tap}, max |Δ| {worst.max_abs:.1e}"
        )
    if observed:
        title += f"; the look at its taps changes its result by {max(observed):.1e}"
    share = worst.ratio / worst.limit if worst.ratio is not None and worst.limit else 0.0
    bad = "o4" if worst.verdict == CRASH else heatmap.level(max(share, 1.01))
    return {
        "verdict": worst.verdict,
        "text": text,
        "title": f"{title} ({counted(len(found), 'cell')})",
        "level": {OK: heatmap.level(share), UNSUPPORTED: "", ABSENT: ""}.get(worst.verdict, bad),
        "sign": _SIGNS.get(worst.verdict, ""),
        "first": worst.first.split(" (")[0] if worst.verdict == DRIFT else "",
    }


def _rank(found: Record) -> int:
    return _WORST.index(found.verdict) if found.verdict in _WORST else len(_WORST)


def observer(found: Merged) -> list[tuple[str, list[str]]]:
    """The observer's effect: by version, per level the largest change that tapping makes."""
    rows = []
    for version in found.versions:
        cells = []
        for level in LEVELS:
            seen = [
                r.observer
                for r in found.records
                if (r.cell.version, r.cell.level) == (version, level) and r.observer is not None
            ]
            cells.append(f"{max(seen):.1e}" if seen else "")
        rows.append((version, cells))
    return rows


def low(found: Merged) -> list[Record]:
    """Records of lower precision: of each version the largest ratio over levels."""
    worst: dict[tuple[str, str], Record] = {}
    for one in found.records:
        if one.cell.precision == FLOAT32:
            continue
        key = one.cell.version, one.cell.precision
        if key not in worst or (one.ratio or 0) > (worst[key].ratio or 0):
            worst[key] = one
    return list(worst.values())


def write(folder: Path, found: Merged) -> None:
    """Write the merged records."""
    lines = (json.dumps(one.line(), allow_nan=False) + "\n" for one in found.records)
    (folder / RECORDS).write_text("".join(lines))


def render(found: Merged, pages: tuple[str, ...], files: tuple[str, ...] = ()) -> str:
    """The page; ``files`` are the records behind it, as seen from its folder."""
    return html.render(
        html.MATRIX, pages,
        run=found.runs[0], runs=found.runs, safe=safe(found), grid=grid(found),
        failures=failures(found), observer=observer(found), levels=list(LEVELS), low=low(found),
        odd=[r for r in found.records if r.verdict in (CRASH, DRIFT, UNSUPPORTED)],
        told=deviations.told, low_name=LOW, files=files,
    )  # fmt: skip


def github(shards: int = 1) -> str:
    """The job matrix, as JSON for GitHub Actions' ``fromJSON``."""
    parts = [f"{i}/{shards}" for i in range(1, shards + 1)]
    return json.dumps({"environment": environments.NAMES, "shard": parts})
