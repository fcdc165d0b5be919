"""A folder that the suite wrote in format 1 reads as one of today."""

import json

from dinov3_parity.parity.records import lines, older, reader
from dinov3_parity.parity.records.run_folder import MEASUREMENTS, RUN
from dinov3_parity.reports.verdicts import edges
from msgspec.structs import replace

from selftests.records.test_divergence import clean, taken
from selftests.records.test_reading import HOSTILE
from selftests.support.records.left import left


def found():
    inside = {"image": 0, "tokens": [1.0] * 9, "along": {}}
    own = [*clean(3), taken("tokens", 0.9, None), taken("cls", 0.9, None, "onnx")]
    own += [taken("norm", 0.9, None, "meta"), taken("norm", 0.9, None, "mapped")]
    own += [taken("norm1", 0.9, stage="nnx"), taken("norm1", 0.9, stage="mine")]
    return [*own, replace(taken("norm1", 0.9, 11), breakdown=inside, stage=HOSTILE)]


def before(fields):
    """The fields of a line as format 1 had them."""
    place = fields["place"]
    number = int(place.removeprefix("block ")) if place.startswith("block ") else None
    told = {"variant": fields["variant"], "stage": fields["stage"], "block": number}
    fields = {{"breakdown": "profile"}.get(name, name): value for name, value in fields.items()}
    return told | {k: v for k, v in fields.items() if k not in ("family", "parent", "place")}


def of_old(folder):
    """A folder as an older suite left it."""
    left(folder, found=found())
    old = [json.dumps(before(lines.fields(one))) + "\n" for one in found()]
    (folder / MEASUREMENTS).write_text("".join(old))
    told = json.loads((folder / RUN).read_text())
    del told["format"]
    (folder / RUN).write_text(json.dumps(told))
    return folder


def test_its_records_have_a_family_a_parent_and_a_place(tmp_path):
    back = reader.read(of_old(tmp_path / "r"))
    assert (back.found, back.lost) == (found(), [])
    assert {m.stage: m.parent for m in back.found} == {
        "meta": "",
        "equimo": "meta",
        "mapped": "equimo",
        "nnx": "meta",
        "onnx": "mapped",
        "mine": "meta",
        HOSTILE: "meta",
    }


def test_its_run_json_has_the_pipeline_that_there_was(tmp_path):
    header = reader.read(of_old(tmp_path / "r")).header
    assert header["format"] == 2 and header["id"] == "a1"
    assert header["pipeline"] == [
        {"name": "meta", "parent": "", "packages": []},
        {"name": "equimo", "parent": "meta", "packages": []},
        {"name": "mapped", "parent": "equimo", "packages": []},
        {"name": "nnx", "parent": "meta", "packages": []},
        {"name": "onnx", "parent": "mapped", "packages": []},
    ]


def test_its_edges_are_those_of_the_old_pipeline(tmp_path):
    back = reader.read(of_old(tmp_path / "r"))
    told = edges(back.found, pipeline=back.header["pipeline"])
    assert [edge.stage for edge in told] == [
        "meta",
        "equimo",
        "nnx",
        "mapped",
        "onnx",
        "mine",
        HOSTILE,
    ]


def test_its_damage_is_told_as_that_of_any_other(tmp_path):
    file = of_old(tmp_path / "r") / MEASUREMENTS
    fields = before(lines.fields(clean()[0]))
    wrong = [fields | {"block": None}, fields | {"tap": "norm9"}, fields | {"block": [3]}]
    file.write_text(
        file.read_text()
        + "".join(json.dumps(one) + "\n" for one in wrong)
        + json.dumps(fields)[:80]
    )
    back = reader.read(tmp_path / "r")
    first = len(found()) + 1
    assert back.found == found() and back.lost == [
        f"The last line of {MEASUREMENTS} was cut off: one comparison is lost.",
        f"3 lines of {MEASUREMENTS}, the first of them line {first}, are no measurement of this "
        f"suite: its place is 'block' at input.",
    ]


def test_what_is_no_line_of_format_1_stays_as_it_is():
    for told in (3, [], {}, {"place": "head", "block": 1}):
        assert older.upgraded(told) == told
    assert older.upgraded({"block": None, "tap": [], "stage": {}})["place"] == ""
