"""Format 1, which the suite wrote until records told their family and parent: read as format 2.

A line had ``block``, a number or null, where it has a ``place`` now, and ``profile`` for ``breakdown``;
run.json had no ``format`` and no ``pipeline``. There was one family and one pipeline.
"""

from __future__ import annotations

from typing import Any

from dinov3_parity.parity.families import FAMILIES

FAMILY = "vit"
_TAPS = FAMILIES[FAMILY].taps

#: What a field is called now.
_NAMES = {"profile": "breakdown"}

#: The stages in the order of the pipeline, and what each derived from.
PARENTS = {"meta": "", "equimo": "meta", "mapped": "equimo", "nnx": "meta", "onnx": "mapped"}


def pipeline() -> list[dict[str, str]]:
    """The pipeline as run.json tells it."""
    return [{"name": name, "parent": parent} for name, parent in PARENTS.items()]


def upgraded(told: Any) -> Any:
    """The fields of a line in today's format; what is no line of format 1 as it is."""
    if not isinstance(told, dict) or "block" not in told or "place" in told:
        return told
    rest = {_NAMES.get(name, name): value for name, value in told.items() if name != "block"}
    block, tap, stage = told["block"], told.get("tap"), told.get("stage")
    if block is None:
        place = _TAPS[tap].part if isinstance(tap, str) and tap in _TAPS else ""
    else:
        place = f"block {block}"
    parent = PARENTS.get(stage, "meta") if isinstance(stage, str) else "meta"
    return {"family": FAMILY, "parent": parent, "place": place} | rest


def header(told: dict[str, Any]) -> dict[str, Any]:
    """What run.json tells, in today's format."""
    return told if "format" in told else {"format": 2, "pipeline": pipeline()} | told
