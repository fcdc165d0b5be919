"""What a variant took, and how errors grow over its depth: for run.json and the page."""

from __future__ import annotations

import math
from typing import Any

from dinov3_parity.parity.layout import layout
from dinov3_parity.parity.records.measurement import CHAINED, Measurement
from dinov3_parity.parity.variants import VARIANTS


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
        "depth": VARIANTS[name].depth,
        **told,
        "growth": growth(found),
    }


#: What a checkpoint holds beside parameters.
_BUFFERS = ("bias_mask", "periods")


def parameters(name: str) -> int:
    """How many numbers of a release were trained."""
    shapes = layout(VARIANTS[name]).items()
    return sum(math.prod(shape) for tensor, shape in shapes if not tensor.endswith(_BUFFERS))


def growth(found: list[Measurement]) -> dict[str, dict[str, dict[str, float]]]:
    """Errors of the chained outputs by stage and block."""
    worst: dict[str, dict[str, dict[str, float]]] = {}
    for m in found:
        if m.mode != CHAINED or m.tap != "output" or m.problem or m.ratio is None:
            continue
        figures = {"ratio": m.ratio, "rms_error": m.ratio * m.floor, "rel_max": m.rel_max or 0.0}
        known = worst.setdefault(m.stage, {}).setdefault(str(m.block), figures)
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
