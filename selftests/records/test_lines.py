"""A line is read back as it was written, and of a damaged one it is said why it is none."""

import json

import pytest
from dinov3_parity.parity.records import lines, reader
from dinov3_parity.parity.records.run_folder import MEASUREMENTS
from msgspec.structs import replace

from selftests.records.test_divergence import clean, taken
from selftests.records.test_reading import HOSTILE
from selftests.support.records.left import append, left


def test_a_last_line_that_was_cut_off_is_told(tmp_path):
    file = left(tmp_path / "r") / MEASUREMENTS
    file.write_text(file.read_text()[:-20])
    back = reader.read(tmp_path / "r")
    assert back.found == clean()[:-1]
    assert back.lost == ["The last line of measurements.jsonl was cut off: one comparison is lost."]


def test_a_whole_last_line_without_its_end_is_not_cut_off(tmp_path):
    file = left(tmp_path / "r") / MEASUREMENTS
    file.write_text(file.read_text()[:-1])
    back = reader.read(tmp_path / "r")
    assert (back.found, back.lost) == (clean(), [])


def test_lines_that_are_not_json_are_counted_and_the_first_is_named(tmp_path):
    count = len(clean())
    append(left(tmp_path / "r"), "\x00\x00\n{\n")
    lines.write(tmp_path / "r" / MEASUREMENTS, clean())
    back = reader.read(tmp_path / "r")
    assert back.found == clean() * 2
    assert back.lost == [
        f"2 lines of measurements.jsonl, the first of them line {count + 1}, are not JSON."
    ]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_figures_that_are_not_json_are_refused(tmp_path, token):
    line = (left(tmp_path / "r") / MEASUREMENTS).read_text().splitlines()[0]
    append(tmp_path / "r", line.replace('"ratio":0.9', f'"ratio":{token}') + "\n")
    back = reader.read(tmp_path / "r")
    assert len(back.found) == len(clean())
    assert back.lost == [f"Line {len(clean()) + 1} of measurements.jsonl is not JSON."]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("ratio"), "missing required field `ratio`"),
        (lambda m: m.update(colour="red"), "unknown field `colour`"),
        (lambda m: m.update(block=3), "unknown field `block`"),
        (lambda m: m.update(ratio="0.9"), "got `str` - at `$.ratio`"),
        (lambda m: m.update(tap="norm9"), "there is no 'vit' 'vits16' with a tap 'norm9'"),
        (lambda m: m.update(variant="vits99"), "there is no 'vit' 'vits99' with a tap 'input'"),
        (lambda m: m.update(mode="loose"), "'loose' - at `$.mode`"),
        (lambda m: m.update(grid=[1]), "at `$.grid`"),
        (lambda m: m.update(token=[[]]), "got `array` - at `$.token["),
        (lambda m: m.update(limit=0.0), "> 0.0 - at `$.limit`"),
        (lambda m: m.update(place="head"), "its place is 'head' at input"),
        (lambda m: m.update(place="block"), "its place is 'block' at input"),
        (lambda m: m.update(place="block -1"), "its place is 'block -1' at input"),
        (lambda m: m.update(tap="cls"), "its place is 'block 0' at cls"),
        (lambda m: m.update(batch=0), ">= 1 - at `$.batch`"),
        (lambda m: m.update(ratio=10**400), "out of range - at `$.ratio`"),
        (lambda m: m.update(token_ratio=None), "it passed without figures"),
        (
            lambda m: m.update(breakdown={"image": 0, "tokens": [1.0] * 3, "along": {}}),
            "its breakdown does not fit its tap and input",
        ),
        (
            lambda m: m.update(breakdown={"image": 1, "tokens": [1.0] * 9, "along": {}}),
            "its breakdown does not fit its tap and input",
        ),
        (
            lambda m: m.update(breakdown={"image": 0, "tokens": [1.0] * 9, "along": {"head": {}}}),
            "missing required field `size` - at `$.breakdown.along",
        ),
    ],
)
def test_a_line_that_is_no_measurement_is_told_with_its_reason(tmp_path, change, why):
    fields = json.loads((left(tmp_path / "r") / MEASUREMENTS).read_text().splitlines()[0])
    change(fields)
    append(tmp_path / "r", json.dumps(fields) + "\n")
    back = reader.read(tmp_path / "r")
    (told,) = back.lost
    line = f"Line {len(clean()) + 1} of measurements.jsonl is no measurement of this suite: "
    assert back.found == clean() and told.startswith(line) and why in told


def test_a_line_of_another_kind_is_no_measurement(tmp_path):
    append(left(tmp_path / "r"), "[1, 2]\n3\n")
    back = reader.read(tmp_path / "r")
    (told,) = back.lost
    assert len(back.found) == len(clean()) and "got `array`" in told
    assert told.startswith(
        f"2 lines of measurements.jsonl, the first of them line {len(clean()) + 1}, are no "
        f"measurement of this suite: "
    )


def test_a_profile_is_left_out_where_there_is_none(tmp_path):
    inside = {"image": 0, "tokens": [1.0] * 9, "along": {}}
    found = [*clean(), replace(taken("norm1", 0.9), breakdown=inside)]
    lines.write(tmp_path / "one", found)
    told = [json.loads(line) for line in (tmp_path / "one").read_text().splitlines()]
    assert ["breakdown" in fields for fields in told] == [False] * len(clean()) + [True]
    assert lines.read(tmp_path / "one") == (found, [])


def test_writing_appends_and_what_is_no_number_is_null(tmp_path):
    absent = taken("cls", float("nan"), block=None, problem="absent: not shown")
    for one in (absent, replace(absent, stage=HOSTILE)):
        lines.write(tmp_path / "one", [one])
    first, second = (tmp_path / "one").read_text().splitlines()
    assert json.loads(first)["ratio"] is None and json.loads(second)["stage"] == HOSTILE


def test_fields_of_a_record_make_it_again():
    inside = {"image": 0, "tokens": [1.0, None] * 4 + [1e9], "along": {}}
    one = replace(taken("norm1", 0.9), breakdown=inside)
    assert lines.measured(json.loads(json.dumps(lines.fields(one)))) == one
    with pytest.raises(ValueError, match="got `str`"):
        lines.measured(lines.fields(one) | {"seed": "7"})


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        taken("norm1", 0.9).ratio = 0.5


@pytest.mark.parametrize(
    ("tap", "block", "place", "where"),
    [("attn.k", 11, "block 11", "block 11, attn.k"), ("cls", None, "head", "cls")],
)
def test_a_place_is_told_by_its_block_or_its_part(tap, block, place, where):
    one = taken(tap, 0.9, block)
    assert (one.place, one.block, one.where) == (place, block, where)
