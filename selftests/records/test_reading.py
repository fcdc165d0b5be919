"""A run is read back as it was written, and what of it is lost is said."""

import json
import os
import subprocess
import sys

import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.records import reader
from dinov3_parity.parity.records.run_folder import FRAGMENTS, MEASUREMENTS, RUN
from msgspec.structs import replace

from selftests.support.records.left import HOSTILE, ONE, OTHER, again, executed, killed, left
from selftests.support.records.measurements import clean, taken


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    found = [*clean(), taken("cls", float("nan"), block=None, problem="absent: not shown")]
    back = reader.read(left(tmp_path / "r", found=found))
    assert (back.found, back.lost) == (found, [])
    assert hash(back.found[0]) == hash(found[0]) and back.found[0].input == ONE
    assert (back.header["id"], back.header["exit"]) == ("a1", "ok")
    assert back.header["contract"] == {
        "declared": len(found) - 1, "compared": len(found) - 1, "inputs": 1, "missing": [],
    }  # fmt: skip


def test_hostile_names_come_back_as_they_are(tmp_path):
    found = [replace(m, stage=HOSTILE, runtime=HOSTILE) for m in clean()]
    tests = [executed(HOSTILE, "failed", stage=HOSTILE) | {"words": HOSTILE}]
    left(tmp_path / "r", found=found, tests=(), command=HOSTILE)
    again(tmp_path / "r", tests=tests, stages={HOSTILE: {"runtime": HOSTILE}})
    back = reader.read(tmp_path / "r")
    assert (back.found, back.lost, back.header["tests"]) == (found, [], tests)
    (told,) = back.header["stages"].values()
    assert list(back.header["stages"]) == [HOSTILE] and told["runtime"] == HOSTILE
    assert not any(value for name, value in told.items() if name != "runtime")


def test_every_key_that_a_reader_relies_on_is_there(tmp_path):
    (tmp_path / MEASUREMENTS).write_text("")
    told = {"format": 2, "pipeline": [{"name": "mine"}], "tests": [{"test": "t"}], "kept": 1}
    (tmp_path / RUN).write_text(json.dumps(told))
    back = reader.read(tmp_path)
    assert (back.found, back.lost) == ([], [])
    assert back.header == {
        "format": 2, "id": "", "command": "", "options": [], "program": "pytest",
        "started": "", "seconds": 0, "exit": "",
        "pipeline": [{"name": "mine", "parent": "", "packages": []}],
        "versions": {}, "called": {}, "deviations": [],
        "references": {"path": "", "sha256": "", "written_by": "", "packages": {}},
        "host": {}, "checkpoints": {}, "stages": {}, "failures": [], "costs": {}, "artifacts": [],
        "contract": {"declared": 0, "compared": 0, "inputs": 0, "missing": []},
        "inputs": {"profile": "", "seed": 0, "examples": 0, "pinned": []},
        "tests": [{"test": "t", "outcome": "", "seconds": 0, "words": "", "properties": {}}],
        "kept": 1,
    }  # fmt: skip


def test_without_run_json_the_records_are_counted(tmp_path):
    (left(tmp_path / "r") / RUN).unlink()
    back = reader.read(tmp_path / "r")
    assert back.found == clean() and back.header["contract"]["compared"] == len(clean())
    (told,) = back.lost
    assert told.startswith("run.json is missing")


@pytest.mark.parametrize("text", ["{", "[]", '{"seconds": NaN}', "\x00", "[" * 100_000])
def test_a_run_json_that_cannot_be_read_is_told(tmp_path, text):
    (left(tmp_path / "r") / RUN).write_text(text)
    back = reader.read(tmp_path / "r")
    assert back.found == clean() and back.header["contract"]["compared"] == len(clean())
    (told,) = back.lost
    assert told.startswith("run.json")


def test_a_key_of_another_shape_is_as_if_it_were_not_told(tmp_path):
    strange = [{"test": "t", "properties": {"variant": []}}]
    again(left(tmp_path / "r"), tests=strange, contract={"declared": "all"}, host=3)
    back = reader.read(tmp_path / "r")
    assert back.header["tests"] == [] and back.header["host"] == {}
    assert back.header["contract"]["compared"] == len(clean())
    assert back.lost == [
        "run.json is of another shape at host, contract, tests: as if that were not told."
    ]


def test_a_run_json_of_a_later_suite_is_read_as_far_as_it_is_known(tmp_path):
    again(left(tmp_path / "r"), format=3, costs=[], trees={})
    back = reader.read(tmp_path / "r")
    assert back.found == clean() and back.header["trees"] == {}
    assert back.lost == [
        "run.json is of format 3, and this suite knows those up to 2: what is new in it is not told.",
        "run.json is of another shape at costs: as if that were not told.",
    ]


def test_records_that_are_fewer_than_were_counted_are_told(tmp_path):
    file = left(tmp_path / "r") / MEASUREMENTS
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-3]))
    count = len(clean())
    assert reader.read(tmp_path / "r").lost == [
        f"measurements.jsonl has {count - 3} of the {count} comparisons that run.json counts."
    ]


def test_without_measurements_what_run_json_tells_is_read(tmp_path):
    (left(tmp_path / "r") / MEASUREMENTS).unlink()
    back = reader.read(tmp_path / "r")
    assert back.header["contract"]["declared"] == len(clean()) and back.found == []
    assert back.lost == ["measurements.jsonl is missing: no comparison of the run is here."]


def test_a_killed_run_is_read_from_its_fragments(tmp_path):
    killed(tmp_path, "b2", clean(), at=2_000_000_000)
    killed(tmp_path, "a1", clean(block=3), at=1_000_000_000)
    with (tmp_path / FRAGMENTS / "b2.gw0.jsonl").open("a") as stream:
        stream.write('{"variant": "vi')
    os.utime(tmp_path / FRAGMENTS / "b2.gw0.jsonl", (2_000_000_000, 2_000_000_000))
    back = reader.read(tmp_path)
    assert back.header["id"] == "b2" and {m.block for m in back.found} == {0}
    assert len(back.found) == len(clean())
    (gap,) = back.header["contract"]["missing"]
    assert (gap["input"], gap["declared"], gap["compared"]) == (str(OTHER), 3, 0)
    assert back.header["failures"] == [
        {"test": "t.py::blocks", "input": str(ONE), "words": "far off"}
    ]
    assert back.lost == [
        "The run did not end: this is what it had measured until then, from fragments/.",
        "The last line of b2.gw0.jsonl was cut off: one comparison is lost.",
    ]


def test_notes_of_a_killed_run_that_cannot_be_read_are_told(tmp_path):
    killed(tmp_path, "b2", clean())
    (tmp_path / FRAGMENTS / "b2.gw0.declared").write_text("[3]")
    back = reader.read(tmp_path)
    assert len(back.found) == len(clean()) == back.header["contract"]["compared"]
    assert back.lost[1] == "What it was to compare and what it noted cannot be read."


def test_a_later_run_that_was_killed_in_the_folder_is_told(tmp_path):
    killed(tmp_path, "b2", clean(block=3), at=1_000_000_000)
    assert reader.read(left(tmp_path)).lost == []
    killed(tmp_path, "c3", clean(block=3), at=2_000_000_000_000)
    back = reader.read(tmp_path)
    assert back.found == clean()
    (told,) = back.lost
    assert told.startswith("A later run in this folder (c3) did not end")


def test_nothing_of_a_run_is_told_in_a_paragraph(tmp_path):
    with pytest.raises(ParityError, match=r"none is not a folder\. Name the folder of a report"):
        reader.read(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ParityError, match="holds nothing of a run"):
        reader.read(tmp_path)


def test_reading_imports_no_test_no_stage_and_no_framework():
    code = "import sys, dinov3_parity.parity.records.reader, dinov3_parity.reports.texts.junit\n"
    code += "print([n for n in sys.modules if n.split('.')[0] in "
    code += "('torch', 'jax', 'onnx', 'onnxruntime', 'pytest', 'fixtures', 'hypothesis')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
