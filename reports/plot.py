"""The yardstick beside the published gate, as a picture.

Run as ``python -m dinov3_parity.reports.plot BOARD RUN FILE``.

BOARD is a folder with the scoreboard of the fault catalogue (faults.json), RUN one of a run without
faults, FILE the picture to write. Needs matplotlib, which the suite does without otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dinov3_parity.parity.comparator import GATE_MAX_ABS
from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.records.run_folder import MEASUREMENTS
from dinov3_parity.reports.pages.faults import FILE as FAULTS

#: Below this all differences are drawn at it: a stage may agree with Meta bit for bit.
_LEFT = 1e-7


class Point(NamedTuple):
    """A stage as both see it: max |Δ| of CLS or pooled patches, and the noise ratio."""

    max_abs: float
    ratio: float


def faults(folder: Path) -> dict[str, Point]:
    """Each mistake that was made in a stage of the real vits16: what the gate was asked on one image,
    and the ratio at the tap where the mistake first shows."""
    board = json.loads((folder / FAULTS).read_text("utf-8"))
    return {
        told["name"]: Point(told["gate_max_abs"], told["ratio"])
        for told in board["faults"]
        if told["variant"] == "vits16" and told["ratio"] and told["gate_max_abs"] is not None
    }


def honest(folder: Path) -> list[Point]:
    """CLS and pooled patches of every stage's own chain on every input of a run."""
    lines = (folder / MEASUREMENTS).read_text("utf-8").splitlines()
    return [
        Point(m["max_abs"], m["ratio"])
        for m in map(json.loads, lines)
        if m["tap"] in FAMILIES[m["family"]].published and m["mode"] == CHAINED and m["parent"]
    ]


def draw(wrong: Iterable[Point], right: Iterable[Point], file: Path) -> None:
    """Both scales are logarithmic; what the gate passes lies left of its line."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "dinov3-parity", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    axes.set(xscale="log", yscale="log", xlim=(_LEFT / 1.5, 30), ylim=(0.3, 1e10))
    axes.set_xlabel("max |Δ| of CLS and pooled patches against Meta (what the guide looks at)")
    axes.set_ylabel("noise ratio (what the suite looks at)")
    limit = max(tap.limit.token for family in FAMILIES.values() for tap in family.taps.values())
    axes.axvline(GATE_MAX_ABS, color="0.4", linestyle="--", linewidth=1)
    axes.axhline(limit, color="0.4", linestyle="--", linewidth=1)
    axes.fill_between(
        [_LEFT / 1.5, GATE_MAX_ABS], limit, 1e10, color="#d95f02", alpha=0.09, linewidth=0
    )
    for points, colour, marker, words in (
        (list(wrong), "#d95f02", "^", "wrong"),
        (list(right), "#1f78b4", "o", "right"),
    ):
        axes.scatter(
            [max(p.max_abs, _LEFT) for p in points], [p.ratio for p in points], s=22, c=colour,
            marker=marker, alpha=0.7, linewidths=0, label=f"{len(points)} {words} ones",
        )  # fmt: skip
    axes.text(GATE_MAX_ABS * 1.15, 1.5e9, "the gate, 1e-5", color="0.3")
    axes.text(1e-2, limit * 1.25, f"the largest limit, {limit:g}", color="0.3")
    axes.text(_LEFT, 1.5e9, "the gate passes these", color="#a84700")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


if __name__ == "__main__":
    board, run, made = map(Path, sys.argv[1:])
    draw(faults(board).values(), honest(run), made)
