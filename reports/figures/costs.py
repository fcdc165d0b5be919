"""What a variant took, and how errors grow over its depth: for run.json and the page."""

from __future__ import annotations

import math
from typing import Any

from dinov3_parity.parity.families import FAMILIES, VARIANTS, family_of
from dinov3_parity.parity.records.measurement import CHAINED, Measurement


def of(name: str, run: dict[str, Any], found: list[Measurement]) -> dict[str, Any]:
    """A variant's figures: ``found`` are its measurements.

    ``parameters`` counts those of the release; ``seconds`` are by stage (or ``reference``: truth,
    Meta and twins) and by block, ``embed`` or ``head``; ``growth`` is by stage and block of the
    chained runs' outputs: noise ratio, rms error against the truth in the output's units, and
    max |s - m| / rms(t), each the largest over inputs.
    """
    told = run["costs"].get(name, {"peak_resident_bytes": 0, "seconds": {}})
    return {
        "parameters": parameters(name),
        "depth": VARIANTS[name].blocks_of_release,
        **told,
        "growth": growth(found),
    }


def parameters(name: str) -> int:
    """How many numbers of a release were trained."""
    variant = VARIANTS[name]
    tensors = family_of(variant).tensors(variant)
    return sum(math.prod(tensor.shape) for tensor in tensors if tensor.trained)


def growth(found: list[Measurement]) -> dict[str, dict[str, dict[str, float]]]:
    """Errors of the chained outputs by stage and block."""
    worst: dict[str, dict[str, dict[str, float]]] = {}
    for m in found:
        handed_on = FAMILIES[m.family].parts[FAMILIES[m.family].taps[m.tap].part].handed_on
        if m.mode != CHAINED or m.tap != handed_on or m.problem or m.ratio is None:
            continue
        figures = {"ratio": m.ratio, "rms_error": m.ratio * m.floor, "rel_max": m.rel_max or 0.0}
        at = m.place if m.block is None else str(m.block)
        known = worst.setdefault(m.stage, {}).setdefault(at, figures)
        for key, value in figures.items():
            known[key] = max(known[key], value)
    return worst


def table(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures as a table: a row a place in dataflow order, per stage its growth and seconds."""
    stages = list(dict.fromkeys([*figures["growth"], *figures["seconds"]]))
    blocks = {b for by in (*figures["growth"].values(), *figures["seconds"].values()) for b in by}
    ends = [name for name in ("embed", "head") if name in blocks]
    ordered = [*ends[:1], *sorted(blocks.difference(ends), key=int), *ends[1:]]
    rows = [
        (
            place,
            [figures["growth"].get(stage, {}).get(place) for stage in stages],
            [figures["seconds"].get(stage, {}).get(place) for stage in stages],
        )
        for place in ordered
    ]
    totals = [sum(figures["seconds"].get(stage, {}).values()) for stage in stages]
    return {"stages": stages, "rows": rows, "totals": totals}
