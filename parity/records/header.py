"""The header of a run: run.json, with every key that a reader may rely on.

A shape is written as its own default: "" is text, 0 a number, a list of one shape any number of
them, ``{str: shape}`` a mapping from names, any other mapping a record whose missing keys are filled.
"""

from __future__ import annotations

from typing import Any

SCALAR = object()  # text, a number, true, false or null

HEADER: dict[str, Any] = {
    "id": "",
    "command": "",
    "options": [""],
    "started": "",
    "seconds": 0,
    "exit": "",
    "versions": {str: ""},
    "host": {str: SCALAR},
    "checkpoints": {str: {"kind": "", "description": "", "digest": ""}},
    "stages": {str: {"runtime": "", "absent": {str: ""}}},
    "inputs": {"profile": "", "seed": 0, "examples": 0, "pinned": [""]},
    "contract": {
        "declared": 0,
        "compared": 0,
        "inputs": 0,
        "missing": [{"test": "", "input": "", "declared": 0, "compared": 0}],
    },
    "failures": [{"test": "", "input": "", "words": ""}],
    "costs": {str: {"peak_resident_bytes": 0, "seconds": {str: {str: 0}}}},
    "artifacts": [{
        "kind": "", "variant": "", "key": "", "made_now": SCALAR, "made_in": 0, "seconds": 0,
        "process": "",
    }],
    "tests": [{
        "test": "", "outcome": "", "seconds": 0, "words": "", "properties": {str: SCALAR},
    }],
}  # fmt: skip


def filled(told: Any) -> tuple[dict[str, Any], list[str]]:
    """A header from what run.json tells, and the keys that are of another shape: these are as if
    they were not told. Keys that no reader relies on stay as they are."""
    told = told if isinstance(told, dict) else {}
    header, wrong = dict(told), []
    for key, shape in HEADER.items():
        try:
            header[key] = _shaped(shape, told[key]) if key in told else _default(shape)
        except TypeError:
            header[key] = _default(shape)
            wrong.append(key)
    return header, wrong


def _shaped(shape: Any, told: Any) -> Any:
    """A value of a shape; TypeError if it is of another."""
    if shape is SCALAR and (told is None or isinstance(told, str | int | float)):
        return told
    if isinstance(shape, list) and isinstance(told, list):
        return [_shaped(shape[0], one) for one in told]
    if isinstance(shape, dict) and isinstance(told, dict):
        if str in shape:
            return {name: _shaped(shape[str], value) for name, value in told.items()}
        return told | {
            name: _shaped(inner, told[name]) if name in told else _default(inner)
            for name, inner in shape.items()
        }
    if isinstance(shape, str) and isinstance(told, str):
        return told
    if isinstance(shape, int) and isinstance(told, int | float):
        return told
    raise TypeError(f"{told!r} is not like {shape!r}")


def _default(shape: Any) -> Any:
    if isinstance(shape, list):
        return []
    if isinstance(shape, dict):
        return {} if str in shape else {name: _default(inner) for name, inner in shape.items()}
    return None if shape is SCALAR else shape
