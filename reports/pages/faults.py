"""The scoreboard of the fault catalogue: faults.json, a page, and a few lines for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dinov3_parity.parity.families import FAMILIES, VARIANTS
from dinov3_parity.parity.records import stages
from dinov3_parity.parity.records.run_folder import FRAGMENTS, fragments
from dinov3_parity.parity.words import counted
from dinov3_parity.reports.pages import html

FILE, _ENDING = "faults.json", ".faults"

#: What a line of a fragment is about.
FAULT, ROUNDING, CLEAN, CERTIFICATE = "fault", "rounding", "clean", "certificate"


def note(folder: Path, process: str, kind: str, record: dict[str, Any]) -> None:
    """Leave one line of the scoreboard among a run's fragments."""
    own = folder / FRAGMENTS
    own.mkdir(parents=True, exist_ok=True)
    with (own / f"{process}{_ENDING}").open("a") as stream:
        stream.write(json.dumps({"kind": kind} | record) + "\n")


def finish(folder: Path, header: dict[str, Any]) -> list[str]:
    """Merge what the processes of a run left into faults.json and its page; lines for the terminal,
    none when no fault was tried."""
    left = fragments(folder, header["id"], _ENDING)
    lines = [json.loads(line) for path in left for line in path.read_text().splitlines()]
    for path in left:
        path.unlink()
    kinds = {kind: [] for kind in (FAULT, ROUNDING, CLEAN, CERTIFICATE)}
    for line in lines:
        kinds[line.pop("kind")].append(line)
    if not kinds[FAULT]:
        return []
    board = scoreboard(**kinds, pipeline=header.get("pipeline", ())) | {"run": header}
    (folder / FILE).write_text(json.dumps(board, indent=1))
    (folder / html.FAULTS).write_text(render(board), encoding="utf-8")
    return [*told(board), f"faults: {folder / html.FAULTS}"]


_TAPS = [name for family in FAMILIES.values() for name in family.taps]

Lines = list[dict[str, Any]]


def scoreboard(
    fault: Lines,
    rounding: Lines,
    clean: Lines,
    certificate: Lines,
    pipeline: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """faults.json from the lines of each kind: every trial, the mistakes that are like rounding, the
    clean comparisons beside them, and what follows; in the order of the run's ``pipeline``, as
    processes of a run end in any.

    ``margin`` is the weakest fault's ratio over the strongest clean one.
    """
    tried = dict.fromkeys((line["stage"] for line in (*fault, *rounding, *certificate)), "")
    order = stages.ordered(tried, pipeline)
    place = lambda line: order.index(line["stage"])
    faults = sorted(fault, key=lambda f: (_size(f), f["number"], place(f)))
    ratios = [f["ratio"] for f in faults if f["ratio"] is not None]
    strongest = max((c["max_ratio"] for c in clean), default=None)
    return {
        "faults": faults,
        "clean": {
            "taps": sum(c["taps"] for c in clean),
            "false_alarms": sum(c["false_alarms"] for c in clean),
            "max_ratio": strongest,
        },
        "totals": {
            "faults": len({f["name"] for f in faults}),
            "trials": len(faults),
            "found": sum(f["found"] for f in faults),
            "located": sum(f["located"] for f in faults),
            "gate_passes": len({f["name"] for f in faults if f["gate_passes"]}),
        },
        "weakest": min(ratios, default=None),
        "margin": min(ratios) / strongest if ratios and strongest else None,
        "like_rounding": sorted(rounding, key=lambda r: (r["name"], place(r))),
        "certificate": sorted(certificate, key=lambda c: (_TAPS.index(c["tap"]), place(c))),
    }


def _size(line: dict[str, Any]) -> tuple[int, str]:
    """Where a line's variant stands among the releases; a stand-in is named after its release."""
    name = line["variant"].split()[0]
    return list(VARIANTS).index(name) if name in VARIANTS else len(VARIANTS), line["variant"]


def told(board: dict[str, Any]) -> list[str]:
    totals, clean = board["totals"], board["clean"]
    line = (
        f"{counted(totals['faults'], 'fault')} in {counted(totals['trials'], 'trial')}: "
        f"{totals['found']} found, "
        f"{totals['located']} located; the published 1e-5 gate passes {totals['gate_passes']}"
    )
    if clean["taps"]:
        line += f"; {counted(clean['false_alarms'], 'false alarm')} in "
        line += counted(clean["taps"], "clean comparison")
    if board["margin"]:
        line += f"; margin {board['margin']:.1f}"
    return [line]


def render(board: dict[str, Any], pages: tuple[str, ...] = (html.FAULTS,)) -> str:
    """The page as text."""
    by_fault: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trial in board["faults"]:
        by_fault.setdefault((trial["variant"], trial["name"]), []).append(trial)
    passed = [trials for trials in by_fault.values() if any(t["gate_passes"] for t in trials)]
    return html.render(
        html.FAULTS, pages, board=board, totals=board["totals"], clean=board["clean"],
        variants=list(dict.fromkeys(t["variant"] for t in board["faults"])),
        stages=list(dict.fromkeys(t["stage"] for t in board["faults"])),
        by_fault=by_fault, passed=passed,
        lost=[t for t in board["faults"] if not t["located"]],
    )  # fmt: skip
