"""The overview: does it hold, where does it first break, why we think so, what to do now."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from dinov3_parity.parity import picture
from dinov3_parity.parity.families import FAMILIES, VARIANTS, family_of
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.inputs import covered
from dinov3_parity.parity.records import stages
from dinov3_parity.parity.records.header import called_in
from dinov3_parity.parity.records.measurement import ISOLATED, Measurement
from dinov3_parity.parity.records.reader import Run
from dinov3_parity.reports.evidence import Case
from dinov3_parity.reports.figures import costs, dataflow, heatmap, thumbnails
from dinov3_parity.reports.figures.digest import digest, packed
from dinov3_parity.reports.pages import address, html
from dinov3_parity.reports.texts.markdown import REPRODUCER
from dinov3_parity.reports.verdicts import DEPARTS, HOLDS, INCOMPLETE, KNOWN, REPEATS, Edge, Verdict

#: Rows of the table of places that a page has without its script.
ROWS = 60


def render(
    run: Run, verdict: Verdict, cases: list[Case], pages: tuple[str, ...], files: tuple[str, ...]
) -> str:
    """The page as text; ``files`` are the records it was read from, as seen from its folder."""
    by_variant: dict[str, list[Measurement]] = {}
    for m in run.found:
        by_variant.setdefault(m.variant, []).append(m)
    pictured, parents = _pictured(run.found), stages.parents(run.found)
    order = stages.ordered(parents, run.header["pipeline"])
    data = digest(run.found) | {
        "stages": order,
        "references": [name for name, parent in parents.items() if not parent],
        "images": thumbnails.thumbnails(pictured),
        "colours": {"fifths": heatmap.FIFTHS, "steps": heatmap.STEPS},
        "prefix": {name: VARIANTS[name].prefix for name in by_variant if name in VARIANTS},
        "taps": {
            tap.name: {"meaning": tap.meaning, "shape": tap.shape}
            for family in FAMILIES.values()
            for tap in family.taps.values()
        },
    }
    return html.render(
        html.OVERVIEW, pages, charts=True,
        run=run.header, verdict=verdict, cases=list(map(_case, cases)),
        failed=sum(m.failed for m in run.found), known=sum(bool(m.known) for m in run.found),
        variants=[_variant(name, own, run.header, verdict) for name, own in by_variant.items()],
        stages=order,
        strongest=_strongest(run.found),
        covered=covered.told({m.input for m in run.found}),
        colours=heatmap.key(), versions=_versions(run.header), files=files,
        link=address.link, reproducer=REPRODUCER, digest=packed(data),
    )  # fmt: skip


def _case(case: Case) -> dict[str, Any]:
    worst = case.divergence.worst
    known = worst.breakdown and worst.variant in VARIANTS
    return vars(case) | {
        "worst": worst,
        "listing": case.listing,
        "suspicion": case.suspicion,
        "named": case.named,
        "unnamed": case.unnamed,
        "link": address.link(*address.of(worst)),
        "inside": address.words(*address.of(worst)) if known else "",
        "picture": picture.draw(VARIANTS[worst.variant], worst, worst.breakdown) if known else "",
    }


def _pictured(found: list[Measurement]) -> list[tuple]:
    """The images on which places were worst, failed ones first, then the most frequent."""
    failed: Counter = Counter()
    held: Counter = Counter()
    for m in found:
        if m.breakdown:
            (failed if m.failed else held)[m.input, m.breakdown["image"] or 0] += 1
    return [one for counts in (failed, held) for one, _ in counts.most_common()]


def _variant(
    name: str, found: list[Measurement], header: dict[str, Any], verdict: Verdict
) -> dict[str, Any]:
    figures, edges = costs.of(name, header, found), verdict.of(name)
    called = called_in(header, name, VARIANTS[name].family)
    by_stage: dict[str, list[Measurement]] = {}
    for m in found:
        by_stage.setdefault(m.stage, []).append(m)
    about = next((e.stage for e in edges if e.verdict == DEPARTS), edges[-1].stage)
    return {
        "name": name,
        "word": _word(edges),
        "checkpoint": header["checkpoints"].get(name),
        "references": header["references"],
        "edges": [_edge(edge, by_stage[edge.stage]) for edge in edges],
        "map": _map(VARIANTS[name], about, by_stage[about]),
        "stages": [
            {
                "name": e.stage,
                "grids": heatmap.grids(by_stage[e.stage]),
                "absent": header["stages"].get(f"{name} {e.stage}", {}).get("absent", {}),
            }
            for e in edges
        ],
        "costs": figures,
        "depth": costs.table(figures),
        "taps": _taps(VARIANTS[name], found, called),
        "called_by": list(dict.fromkeys(s for tap in called.values() for s in tap)),
        "inputs": list(dict.fromkeys(str(m.input) for m in found)),
    }


def _word(edges: list[Edge]) -> str:
    words = {e.verdict for e in edges}
    if words & {DEPARTS, REPEATS}:
        return DEPARTS
    if INCOMPLETE in words:
        return INCOMPLETE
    return KNOWN if KNOWN in words else HOLDS


def _edge(edge: Edge, own: list[Measurement]) -> dict[str, Any]:
    return vars(edge) | {
        "sentence": edge.sentence,
        "figure": heatmap.figure(edge.strongest),
        "level": heatmap.KNOWN if edge.verdict == KNOWN else heatmap.colour(edge.strongest),
        "runtimes": list(dict.fromkeys(m.runtime for m in own))[:3],
    }


def _map(variant: Variant, stage: str, own: list[Measurement]) -> dict[str, Any]:
    """The dataflow, each tap coloured by its strongest isolated comparison over blocks."""
    worst: dict[str, Measurement] = {}
    for m in own:
        if m.mode == ISOLATED:
            worst[m.tap] = max(worst.get(m.tap, m), m, key=heatmap.telling)
    shown = []
    for panel in dataflow.panels(variant):
        nodes = [
            vars(node)
            | {
                "level": heatmap.colour(worst[node.name]) if node.name in worst else "absent",
                "block": worst[node.name].block if node.name in worst else None,
            }
            for node in panel.nodes
        ]
        shown.append(vars(panel) | {"nodes": nodes})
    return {"stage": stage, "panels": shown, "width": max(p["width"] for p in shown) + 6}


def _strongest(found: list[Measurement]) -> list[tuple[Measurement, int, int]]:
    """Of the strongest places the worst comparison, how many are over, how many there are."""
    places: dict[tuple, list[Measurement]] = defaultdict(list)
    for m in found:
        places[m.variant, m.stage, m.layer, m.runtime, m.mode, m.place, m.tap].append(m)
    rows = [
        (max(group, key=heatmap.telling), sum(m.failed for m in group), len(group))
        for group in places.values()
    ]
    return sorted(rows, key=lambda row: heatmap.telling(row[0]), reverse=True)[:ROWS]


def _versions(header: dict[str, Any]) -> str:
    """The versions that a reader asks for first: those of the stages' own packages."""
    told = dict.fromkeys(name for stage in header["pipeline"] for name in stage["packages"])
    return ", ".join(f"{n} {header['versions'][n]}" for n in told if n in header["versions"])


def _taps(
    variant: Variant, found: list[Measurement], called: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    """A row a tap: what it is called where, what sets its floor, how far its limit is away."""
    by_tap = defaultdict(list)
    for m in found:
        if m.parent and None not in (m.ratio, m.token_ratio):
            by_tap[m.tap].append(m)
    rows = []
    for tap in family_of(variant).taps.values():
        own = by_tap[tap.name]
        if not own:
            continue
        floors = {(m.place, m.mode, m.input): m.floor_setter for m in own}
        setters = Counter(floors.values())
        worst = max(own, key=lambda m: (m.ratio or 0.0) / m.limit)
        rows.append({
            "name": tap.name, "meaning": tap.meaning, "shape": " ".join(tap.shape),
            "called": called.get(tap.name, {}), "count": len(own),
            "setters": [(name, round(100 * n / len(floors))) for name, n in setters.most_common()],
            "largest": worst.ratio,
            "alone": max(m.ratio * m.floor / m.floor_alone for m in own),
            "token": max(m.token_ratio for m in own),
            "limit": worst.limit, "token_limit": worst.token_limit,
        })  # fmt: skip
    return rows
