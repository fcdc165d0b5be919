"""Several processes and runs in one folder: each run is merged whole."""

from dinov3_parity.parity.records import reader
from dinov3_parity.parity.records.run_folder import FRAGMENTS, RecordWriter, merge

from selftests.support.records.left import ONE, executed, left
from selftests.support.records.measurements import clean


def test_runs_in_one_folder_are_kept_apart(tmp_path):
    other = RecordWriter(tmp_path, "b2", "main")
    other.record(clean(block=3))
    assert reader.read(left(tmp_path, "a1")).found == clean()
    assert [path.name for path in (tmp_path / FRAGMENTS).iterdir()] == ["b2.main.jsonl"]
    assert reader.read(left(tmp_path, "b2", found=clean(5))).found == [*clean(3), *clean(5)]
    assert not (tmp_path / FRAGMENTS).exists()


def test_a_process_that_died_in_a_line_does_not_damage_the_next_ones(tmp_path):
    RecordWriter(tmp_path, "a1", "gw0").record(clean(block=3))
    fragment = tmp_path / FRAGMENTS / "a1.gw0.jsonl"
    fragment.write_text(fragment.read_text()[:-20])
    back = reader.read(left(tmp_path))
    assert back.found == [*clean(3)[:-1], *clean()]
    assert back.lost == [f"Line {len(clean())} of measurements.jsonl is not JSON."]


def test_what_measured_nothing_leaves_a_folder_only_for_a_test_of_a_layer(tmp_path):
    header = {"id": "a1", "exit": "tests failed", "tests": []}
    own = executed("parity/test_conversion.py::test_mapping_table[vits16-equimo]", "failed")
    selftest = own | {"properties": {}}
    assert not merge(tmp_path / "r", header | {"tests": [selftest]})
    assert not (tmp_path / "r").exists()
    assert merge(tmp_path / "r", header | {"tests": [own, selftest]})
    back = reader.read(tmp_path / "r")
    assert (back.found, back.lost, back.header["tests"]) == ([], [], [own, selftest])


def test_a_run_that_fell_short_did_not_end_well(tmp_path):
    back = reader.read(left(tmp_path / "r", gap=[(ONE, 2)]))
    assert back.header["exit"] == "tests failed"
