"""The report of a run: one page that stands alone, from measurements.jsonl and run.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import jinja2

from parity import divergence, taps
from parity.measurements import CHAINED, ISOLATED, Measurement
from parity.variants import VARIANTS, Variant
from reports import costs
from reports.run import MEASUREMENTS, RUN, missing

PAGE = "index.html"

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_ORDER = {name: index for index, name in enumerate(taps.TAPS)}


def write(folder: Path, run: dict[str, Any], found: list[Measurement]) -> Path:
    """Write a run's page beside its files; the page's path."""
    page = folder / PAGE
    page.write_text(render(run, found), encoding="utf-8")
    return page


def render(run: dict[str, Any], found: list[Measurement]) -> str:
    """The page as text."""
    names = dict.fromkeys(m.variant for m in found)
    return TEMPLATES.get_template(PAGE).render(
        run=run,
        variants=[_variant(name, [m for m in found if m.variant == name], run) for name in names],
        compared=run["contract"]["compared"],
        declared=run["contract"]["declared"],
        failed=sum(not m.passed for m in found),
        missing=missing(run),
        files=(MEASUREMENTS, RUN),
    )


def _variant(name: str, found: list[Measurement], run: dict[str, Any]) -> dict[str, Any]:
    stages = list(dict.fromkeys(m.stage for m in found))
    return {
        "name": name,
        "checkpoint": run["checkpoints"].get(name),
        "divergence": divergence.first(found),
        "stages": [
            _stage(stage, [m for m in found if m.stage == stage])
            | {"absent": run["stages"].get(f"{name} {stage}", {}).get("absent", {})}
            for stage in stages
        ],
        "costs": (figures := costs.of(name, run, found)),
        "depth": costs.table(figures),
        "taps": _taps(VARIANTS[name], found),
        "inputs": list(dict.fromkeys(str(m.input) for m in found)),
    }


def _stage(name: str, found: list[Measurement]) -> dict[str, Any]:
    """A stage's grids of worst ratios, one a mode: a row a block, a column a tap."""
    return {
        "name": name,
        "runtimes": list(dict.fromkeys(m.runtime for m in found)),
        "divergence": divergence.first(found),
        "worst": max(found, key=_by_strength),
        "count": len(found),
        "grids": [
            _grid(mode, [m for m in found if m.mode == mode])
            for mode in (ISOLATED, CHAINED)
            if any(m.mode == mode for m in found)
        ],
    }


def _taps(variant: Variant, found: list[Measurement]) -> list[dict[str, Any]]:
    """A row a tap: what it is called where, what sets its floor, how far its limit is away."""
    called, by_tap = taps.called(), defaultdict(list)
    for m in found:
        if m.stage != "meta" and not m.problem:
            by_tap[m.tap].append(m)
    rows = []
    for tap in taps.TAPS.values():
        own = by_tap[tap.name]
        if tap.ffn not in ("", variant.ffn) or not own:
            continue
        floors = {(m.block, m.mode, m.input): m.floor_setter for m in own}
        setters = Counter(floors.values())
        rows.append({
            "name": tap.name, "meaning": tap.meaning, "shape": " ".join(tap.shape),
            "called": called[tap.name], "absent": dict(tap.absent), "count": len(own),
            "setters": [(name, round(100 * n / len(floors))) for name, n in setters.most_common()],
            "largest": max(m.ratio for m in own),
            "alone": max(m.ratio * m.floor / m.floor_alone for m in own),
            "token": max(m.token_ratio for m in own),
            "limit": own[0].limit, "token_limit": own[0].token_limit,
        })  # fmt: skip
    return rows


def _grid(mode: str, found: list[Measurement]) -> dict[str, Any]:
    cells: dict[tuple[int | None, str], list[Measurement]] = defaultdict(list)
    for m in found:
        cells[m.block, m.tap].append(m)

    def columns(inside: bool) -> list[str]:
        names = {m.tap for m in found if (m.block is not None) == inside}
        return sorted(names, key=_ORDER.__getitem__)

    blocks = sorted({m.block for m in found if m.block is not None})
    return {
        "mode": mode,
        "block_taps": columns(True),
        "rows": [(i, [_cell(cells.get((i, tap))) for tap in columns(True)]) for i in blocks],
        "ends": [(tap, _cell(cells[None, tap])) for tap in columns(False)],
    }


def _cell(found: list[Measurement] | None) -> dict[str, Any] | None:
    """The worst measurement of one block and tap over all inputs, and how it is coloured."""
    if not found:
        return None
    worst = max(found, key=_by_strength)
    share = worst.strength
    return {
        "text": _figure(worst),
        "level": "over" if share > 1 else f"l{min(4, int(share * 5))}",
        "title": _told(worst, len(found)),
    }


def _figure(m: Measurement) -> str:
    """The ratio over the whole tensor, or over the worst token where that alone is too large."""
    if m.problem:
        return m.problem.split(":")[0]
    if m.token_ratio > m.token_limit and m.ratio <= m.limit:
        return f"{m.token_ratio:.3g} at a token"
    return f"{m.ratio:.2f}" if m.ratio < 1000 else f"{m.ratio:.2g}"


def _told(m: Measurement, count: int) -> str:
    if m.problem:
        return f"{m.place}: {m.problem} ({m.input})"
    return (
        f"{m.place}: noise ratio {m.ratio:.3g} of limit {m.limit:g}; floor {m.floor:.2e}, max |Δ| "
        f"{m.max_abs:.2e} at {list(m.max_abs_index)}, token ratio {m.token_ratio:.3g} of "
        f"{m.token_limit:g} at {list(m.token)}, cosine {m.cosine:.9f}; worst of {count}: "
        f"{m.input}, {m.runtime}"
    )


def _by_strength(m: Measurement) -> float:
    return m.strength
