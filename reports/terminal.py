"""The end of a run: merge what was measured, write the report, and say in a few lines what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity import divergence
from parity.measurements import Measurement
from reports import costs, html
from reports.run import merge, missing, read, rewrite


@dataclass(frozen=True)
class Finished:
    """A finished run, read once for the page, the terminal and the exit status."""

    folder: Path
    run: dict[str, Any]
    found: list[Measurement]

    @property
    def short(self) -> bool:
        """Whether it compared less than it had declared."""
        return bool(self.run["contract"]["missing"])

    def summary(self) -> list[str]:
        """The lines for the terminal; the first names the first divergence, if there is one."""
        told = [*verdicts(self.found), counts(self.run, self.found), *missing(self.run)]
        return ["", *told, stored(self.run), f"report: {self.folder / html.PAGE}"]


def finish(folder: Path, header: dict[str, Any]) -> Finished | None:
    """Merge a run's fragments and write its report beside them; None if nothing was measured."""
    if not merge(folder, header):
        return None
    finished = Finished(folder, *read(folder))
    finished.run["variants"] = {
        name: costs.of(name, finished.run, [m for m in finished.found if m.variant == name])
        for name in dict.fromkeys(m.variant for m in finished.found)
    }
    rewrite(folder, finished.run)
    html.write(folder, finished.run, finished.found)
    return finished


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
