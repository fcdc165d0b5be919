"""What of JSON Schema our own schemas use: enough to say where a document is not of its shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}  # fmt: skip

#: Every word that is understood; one that is not must not pass for kept.
_KNOWN = {
    "$schema", "$ref", "$defs", "title", "description", "default", "type", "properties", "required",
    "additionalProperties", "items", "enum", "anyOf",
}  # fmt: skip


def wrong(told: Any, schema: dict[str, Any]) -> list[str]:
    """Where a document breaks a schema; none where it keeps it."""
    return list(_wrong(told, schema, schema["$defs"], "it"))


def _wrong(told: Any, rule: dict[str, Any], defs: dict[str, Any], at: str) -> Iterator[str]:
    assert rule.keys() <= _KNOWN, f"{at}: this validator does not know {rule.keys() - _KNOWN}"
    if "$ref" in rule:
        yield from _wrong(told, defs[rule["$ref"].rpartition("/")[2]], defs, at)
    if "anyOf" in rule and all([*_wrong(told, one, defs, at)] for one in rule["anyOf"]):
        yield f"{at}: {told!r} is none of {rule['anyOf']}"
    if "enum" in rule and told not in rule["enum"]:
        yield f"{at}: {told!r} is not in {rule['enum']}"
    if "type" in rule and (kind := rule["type"]):
        kinds = tuple(map(_TYPES.get, [kind] if isinstance(kind, str) else kind))
        if not any(isinstance(told, one) for one in kinds) or (
            isinstance(told, bool) and bool not in kinds
        ):
            yield f"{at}: {told!r} is no {kind}"
            return
    if isinstance(told, dict):
        known = rule.get("properties", {})
        yield from (f"{at}: no {name}" for name in rule.get("required", ()) if name not in told)
        for name, value in told.items():
            inner = known.get(name, rule.get("additionalProperties", True))
            if inner is False:
                yield f"{at}: {name} is in no schema"
            elif isinstance(inner, dict):
                yield from _wrong(value, inner, defs, f"{at}.{name}")
    if isinstance(told, list) and "items" in rule:
        for number, one in enumerate(told):
            yield from _wrong(one, rule["items"], defs, f"{at}[{number}]")
