"""Where a document breaks one of the published schemas."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator


def wrong(told: Any, schema: dict[str, Any]) -> list[str]:
    """A line for each break, by its place in the document; none where the schema is kept."""
    Draft202012Validator.check_schema(schema)
    errors = Draft202012Validator(schema).iter_errors(told)
    return [f"{error.json_path}: {error.message}" for error in errors]
