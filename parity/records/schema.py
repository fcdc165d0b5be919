"""The published schemas of what a run writes: ``python -m dinov3_parity.parity.records.schema [DIR]``.

They follow from the types alone, and lie in ``docs/schema``: of a line of measurements.jsonl, of
run.json, and of verdict.json.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from dinov3_parity.parity.records.header import Header
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.verdict import MachineVerdict

FOLDER = Path("docs", "schema")

TYPES = {"measurement.json": Measurement, "run.json": Header, "verdict.json": MachineVerdict}


def texts() -> dict[str, str]:
    """The schemas as text, by the names of their files."""
    return {name: _text(told) for name, told in TYPES.items()}


def _text(told: type) -> str:
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= msgspec.json.schema(told)
    for one in schema["$defs"].values():
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(*sys.argv[1:]) if sys.argv[1:] else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")
