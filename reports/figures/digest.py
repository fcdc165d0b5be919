"""The records of a run in small: what the page's charts and filters are drawn from.

Comparisons of one place (variant, stage, layer, runtime, mode, block, tap) are one row: its figures
on every input in columns, three digits each, and the strongest comparison in full. So a comparison
that passed costs some twenty bytes before compression. The page unpacks the rows itself.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from dinov3_parity.parity.comparator import GATE_COSINE, GATE_MAX_ABS
from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.records.measurement import Measurement

#: Fields of a record that tell its place; those that tell its input are in the table of inputs.
_PLACE = ("variant", "stage", "layer", "runtime", "mode", "block", "tap")
_FIGURES = (
    "floor", "floor_setter", "floor_alone", "max_abs", "max_abs_index", "rel_max", "cosine",
    "token", "problem", "fault", "ceiling",
)  # fmt: skip

#: The workflow's own figures, of any family.
_PUBLISHED = sorted({tap for one in FAMILIES.values() for tap in one.published})


def digest(found: Iterable[Measurement]) -> dict[str, Any]:
    """Everything the page's script needs, as JSON takes it.

    ``inputs`` are those drawn; a row of ``rows`` has its place, ``limit`` and ``token_limit`` of the
    strongest comparison, and in columns ``input`` (a number in ``inputs``), ``ratio``, its ``limits``,
    which follow the input's size, ``token_ratio``, ``max_abs`` and ``floor``;
    null is not finite, or not comparable. ``failed`` counts those over a limit, ``known`` those that are
    so as is known; ``strength`` is the
    strongest one's ratio in units of its limit, ``worst`` its index in the columns and further figures.
    """
    rows: dict[tuple, list[Measurement]] = {}
    inputs: dict[Any, int] = {}
    for m in found:
        rows.setdefault(tuple(getattr(m, name) for name in _PLACE), []).append(m)
        inputs.setdefault(m.input, len(inputs))
    return {
        "inputs": [
            {
                "name": str(one), "batch": one.batch, "grid": one.grid, "content": one.content,
                "scale": one.scale,
            }
            for one in inputs
        ],
        "rows": [_row(place, group, inputs) for place, group in rows.items()],
        "gate": {"taps": _PUBLISHED, "max_abs": GATE_MAX_ABS, "cosine": GATE_COSINE},
    }  # fmt: skip


def _row(place: tuple, group: Sequence[Measurement], inputs: dict[Any, int]) -> dict[str, Any]:
    worst = max(
        range(len(group)),
        key=lambda i: (group[i].failed, group[i].strength, group[i].breakdown is not None),
    )
    strongest = group[worst]
    return dict(zip(_PLACE, place, strict=True)) | {
        "limit": strongest.limit,
        "token_limit": strongest.token_limit,
        "limits": [digits(m.limit) for m in group],
        "input": [inputs[m.input] for m in group],
        "ratio": [digits(m.ratio) for m in group],
        "token_ratio": [digits(m.token_ratio) for m in group],
        "max_abs": [digits(m.max_abs) for m in group],
        "floor": [digits(m.floor) for m in group],
        "failed": sum(m.failed for m in group),
        "known": sum(bool(m.known) for m in group),
        "strength": strongest.strength if math.isfinite(strongest.strength) else None,
        "worst": {"at": worst, "breakdown": strongest.breakdown}
        | {name: getattr(strongest, name) for name in _FIGURES},
    }


def digits(value: float | None) -> float | None:
    """Three digits of a figure."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.3g}")


def packed(value: Any) -> str:
    """JSON, compressed, in letters that HTML leaves alone."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(errors="replace"), 6, mtime=0)).decode()
