"""The end of a run: merge what was measured, write the report, and say in a few lines what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity import divergence
from parity.measurements import Measurement
from reports import html
from reports.run import merge, read


def short(folder: Path) -> bool:
    """Whether a finished run compared less than it had declared."""
    return bool(read(folder)[0]["contract"]["missing"])


def finish(folder: Path, header: dict[str, Any]) -> bool:
    """Merge a run's fragments and write its report beside them; False if nothing was measured."""
    measured = merge(folder, header)
    if measured:
        html.write(folder)
    return measured


def summary(folder: Path) -> list[str]:
    """The lines for the terminal; the first names the first divergence, if there is one."""
    run, found = read(folder)
    told = [*verdicts(found), counts(run, found), *missing(run), stored(run)]
    return ["", *told, f"report: {folder / html.PAGE}"]


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
        worst, token = (max(own, key=of) for of in (by_ratio, by_token))
        lines.append(
            f"{variant}: {stages} hold; largest noise ratio {worst.ratio:.2f} of limit "
            f"{worst.limit:g} ({worst.stage}, {worst.place}, {worst.input}); of one token "
            f"{token.token_ratio:.2f} of {token.token_limit:g} ({token.stage}, {token.place})"
        )
    return lines


def by_ratio(m: Measurement) -> float:
    return m.ratio / m.limit


def by_token(m: Measurement) -> float:
    return m.token_ratio / m.token_limit


def counts(run: dict[str, Any], found: list[Measurement]) -> str:
    contract = run["contract"]
    failed = sum(not m.passed for m in found)
    inputs = f"on {contract['inputs']} inputs, {run['inputs']['profile']}"
    return (
        f"compared {contract['compared']:,} of {contract['declared']:,} declared taps {inputs} "
        f"(seed {run['inputs']['seed']}), {failed:,} failed"
    )


def missing(run: dict[str, Any]) -> list[str]:
    """What was declared and not compared, in a line; none when all was."""
    gaps = run["contract"]["missing"]
    if not gaps:
        return []
    count = sum(gap["declared"] - gap["compared"] for gap in gaps)
    first = ", ".join(f"{gap['test'].split('::')[-1]} on {gap['input']}" for gap in gaps[:2])
    more = f" and {len(gaps) - 2} more" if gaps[2:] else ""
    return [f"declared and not compared: {count:,} taps: {first}{more}"]


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
