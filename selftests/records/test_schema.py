"""The published schemas are those of the types."""

import json
from pathlib import Path

import pytest
from dinov3_parity.parity.records import schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["measurement.json", "run.json", "verdict.json"])
def test_a_published_schema_is_current(name):
    """If not: ``python -m dinov3_parity.parity.records.schema``."""
    published = (ROOT / schema.FOLDER / name).read_text(encoding="utf-8")
    assert json.loads(schema.texts()[name]) == json.loads(published)


def test_a_schema_has_every_field():
    for name, told in schema.TYPES.items():
        known = json.loads(schema.texts()[name])["$defs"][told.__name__]
        assert list(known["properties"]) == list(told.__struct_fields__)
    line = json.loads(schema.texts()["measurement.json"])["$defs"]["Measurement"]
    optional = {"breakdown", "ceiling", "known", "like", "node", "output", "relation"}
    assert set(line["required"]) == set(line["properties"]) - optional
    assert line["additionalProperties"] is False
