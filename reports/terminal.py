"""The end of a run: merge what was measured, write the report, and say in a few lines what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity import divergence
from parity.measurements import Measurement
from reports import html
from reports.run import merge, read


def finish(folder: Path, header: dict[str, Any]) -> bool:
    """Merge a run's fragments and write its report beside them; False if nothing was measured."""
    measured = merge(folder, header)
    if measured:
        html.write(folder)
    return measured


def summary(folder: Path) -> list[str]:
    """The lines for the terminal; the first names the first divergence, if there is one."""
    run, found = read(folder)
    return ["", *verdicts(found), counts(found), stored(run), f"report: {folder / html.PAGE}"]


def verdicts(found: list[Measurement]) -> list[str]:
    """One sentence a variant: where it first departs, or how strong its strongest ratio is."""
    lines = []
    for variant in dict.fromkeys(m.variant for m in found):
        own = [m for m in found if m.variant == variant]
        departed = divergence.first(own)
        if departed:
            lines.append(str(departed))
            continue
        stages = ", ".join(dict.fromkeys(m.stage for m in own))
        worst = max(own, key=lambda m: m.ratio)
        lines.append(
            f"{variant}: {stages} hold; largest noise ratio {worst.ratio:.2f} "
            f"({worst.stage}, {worst.place}, {worst.input}), limit {worst.limit:g}"
        )
    return lines


def counts(found: list[Measurement]) -> str:
    compared = sum(not m.problem for m in found)
    failed = sum(not m.passed for m in found)
    return f"compared {compared:,} of {len(found):,} taps, {failed:,} failed"


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
