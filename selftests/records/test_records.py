"""What a run left is read back as it is, and what of it is lost is said."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from dinov3_parity.parity.records import measurement
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.comparator import Account
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import reader, run_folder
from dinov3_parity.parity.records.run_folder import FRAGMENTS, MEASUREMENTS, RUN, Scribe, merge
from selftests.records.test_divergence import clean, taken

ONE, OTHER = Input(1, (2, 2)), Input(2, (1, 3), 7)
HOSTILE = "<script>alert('</td>')</script>\x00 \ud800 \"'&"


def executed(name, outcome="passed", **properties):
    told = {"test": name, "outcome": outcome, "seconds": 0.5, "words": "", "properties": properties}
    return told | {"properties": {"layer": "blocks", "variant": "vits16"} | properties}


def left(folder, name="a1", found=None, digest="d" * 64, gap=(), tests=("blocks",), **more):
    """A folder as a run leaves it: one test, of everything that was found."""
    found = clean() if found is None else found
    scribe = Scribe(folder, name, "main")
    scribe.record(found)
    good = sum(not m.problem for m in found)
    scribe.account("t.py::blocks", [Account(ONE, good, good)] if found else [])
    scribe.account("t.py::gap", [Account(one, missing) for one, missing in gap])
    scribe.note({
        "checkpoints": {"vits16": {"kind": "synthetic", "description": "", "digest": digest}},
        "stages": {}, "costs": {}, "artifacts": [],
    })  # fmt: skip
    header = {
        "id": name, "command": f"pytest -k {name}", "started": "2026-01-01T00:00:00+00:00",
        "seconds": 2.0, "exit": "ok", "tests": [executed(f"t.py::{test}") for test in tests],
        "inputs": {"profile": "quick", "seed": 0, "examples": 4, "pinned": []},
    }  # fmt: skip
    assert merge(folder, header | more)
    return folder


def again(folder, **keys):
    """Change keys of a folder's run.json."""
    told = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps(told | keys))


def append(folder, text):
    with (folder / MEASUREMENTS).open("a") as stream:
        stream.write(text)


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
    assert back.header["stages"] == {HOSTILE: {"runtime": HOSTILE, "absent": {}}}


def test_every_key_that_a_reader_relies_on_is_there(tmp_path):
    (tmp_path / MEASUREMENTS).write_text("")
    (tmp_path / RUN).write_text('{"tests": [{"test": "t"}], "kept": 1}')
    back = reader.read(tmp_path)
    assert (back.found, back.lost) == ([], [])
    assert back.header == {
        "id": "", "command": "", "options": [], "started": "", "seconds": 0, "exit": "",
        "versions": {},
        "host": {}, "checkpoints": {}, "stages": {}, "failures": [], "costs": {}, "artifacts": [],
        "contract": {"declared": 0, "compared": 0, "inputs": 0, "missing": []},
        "inputs": {"profile": "", "seed": 0, "examples": 0, "pinned": []},
        "tests": [{"test": "t", "outcome": "", "seconds": 0, "words": "", "properties": {}}],
        "kept": 1,
    }  # fmt: skip


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
    measurement.write(tmp_path / "r" / MEASUREMENTS, clean())
    back = reader.read(tmp_path / "r")
    assert back.found == clean() * 2
    assert back.lost == [
        f"2 lines of measurements.jsonl, the first of them line {count + 1}, are not JSON."
    ]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_figures_that_are_not_json_are_refused(tmp_path, token):
    line = (left(tmp_path / "r") / MEASUREMENTS).read_text().splitlines()[0]
    append(tmp_path / "r", line.replace('"ratio": 0.9', f'"ratio": {token}') + "\n")
    back = reader.read(tmp_path / "r")
    assert len(back.found) == len(clean())
    assert back.lost == [f"Line {len(clean()) + 1} of measurements.jsonl is not JSON."]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("ratio"), "it lacks ratio"),
        (lambda m: m.update(colour="red"), "it has colour, too"),
        (lambda m: m.update(ratio="0.9"), "its ratio is '0.9'"),
        (lambda m: m.update(tap="norm9"), "there is no 'vits16' with a tap 'norm9'"),
        (lambda m: m.update(variant="vits99"), "there is no 'vits99' with a tap 'input'"),
        (lambda m: m.update(mode="loose"), "its mode is 'loose'"),
        (lambda m: m.update(grid=[1]), "its grid, token or max_abs_index is not of whole numbers"),
        (
            lambda m: m.update(token=[[]]),
            "its grid, token or max_abs_index is not of whole numbers",
        ),
        (lambda m: m.update(limit=0.0), "its limit is not positive"),
        (lambda m: m.update(block=None), "its block is None at input"),
        (lambda m: m.update(batch=0), "its batch, grid or floor is not positive"),
        (lambda m: m.update(ratio=10**400), "int too large to convert to float"),
        (lambda m: m.update(token_ratio=None), "it passed without figures"),
        (
            lambda m: m.update(profile={"image": 0, "tokens": [1.0] * 3, "along": {}}),
            "its profile does not fit its tap and input",
        ),
    ],
)
def test_a_line_that_is_no_measurement_is_told_with_its_reason(tmp_path, change, why):
    fields = json.loads((left(tmp_path / "r") / MEASUREMENTS).read_text().splitlines()[0])
    change(fields)
    append(tmp_path / "r", json.dumps(fields) + "\n")
    back = reader.read(tmp_path / "r")
    line = f"Line {len(clean()) + 1} of measurements.jsonl is no measurement of this suite: {why}."
    assert (back.found, back.lost) == (clean(), [line])


def test_a_line_of_another_kind_is_no_measurement(tmp_path):
    append(left(tmp_path / "r"), "[1, 2]\n3\n")
    back = reader.read(tmp_path / "r")
    assert len(back.found) == len(clean()) and back.lost == [
        f"2 lines of measurements.jsonl, the first of them line {len(clean()) + 1}, are no "
        f"measurement of this suite: it has no fields."
    ]


def test_records_of_an_older_suite_have_what_they_lack_by_default(tmp_path):
    file = left(tmp_path / "r", found=[replace(m, profile={"tokens": [1.0]}) for m in clean()])
    lines = [json.loads(line) for line in (file / MEASUREMENTS).read_text().splitlines()]
    for fields in lines:
        del fields["profile"]
    (file / MEASUREMENTS).write_text("".join(json.dumps(fields) + "\n" for fields in lines))
    back = reader.read(file)
    assert (back.found, back.lost) == (clean(), [])


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


def killed(folder, name, found, at=0):
    """What a run leaves that was killed: two processes, one cut off in the middle of a line."""
    for worker, share in (("gw0", found[::2]), ("gw1", found[1::2])):
        Scribe(folder, name, worker).record(share)
    scribe = Scribe(folder, name, "gw0")
    scribe.declare([{"test": "t.py::blocks", "inputs": [str(ONE), str(OTHER)], "declared": 3}])
    scribe.account("t.py::blocks", [Account(ONE, 3, 3, "far off")])
    for path in run_folder.fragments(folder, name):
        os.utime(path, (at, at))


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


def test_runs_in_one_folder_are_kept_apart(tmp_path):
    other = Scribe(tmp_path, "b2", "main")
    other.record(clean(block=3))
    assert reader.read(left(tmp_path, "a1")).found == clean()
    assert [path.name for path in (tmp_path / FRAGMENTS).iterdir()] == ["b2.main.jsonl"]
    assert reader.read(left(tmp_path, "b2", found=clean(5))).found == [*clean(3), *clean(5)]
    assert not (tmp_path / FRAGMENTS).exists()


def test_a_process_that_died_in_a_line_does_not_damage_the_next_ones(tmp_path):
    Scribe(tmp_path, "a1", "gw0").record(clean(block=3))
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


def test_reading_imports_no_test_no_stage_and_no_framework():
    code = "import sys, dinov3_parity.parity.records.reader, dinov3_parity.reports.texts.junit\n"
    code += "print([n for n in sys.modules if n.split('.')[0] in "
    code += "('torch', 'jax', 'onnx', 'onnxruntime', 'pytest', 'fixtures', 'hypothesis')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_run_joined_is_that_run_and_who_it_was(tmp_path):
    alone = reader.read(left(tmp_path / "r", gap=[(OTHER, 4)], found=clean() * 2))
    joined = reader.joined([alone])
    (who,) = joined.header.pop("runs")
    assert joined == alone
    assert who == {
        "id": "a1", "command": "pytest -k a1", "started": "2026-01-01T00:00:00+00:00",
        "seconds": 2.0, "folder": "r",
    }  # fmt: skip


def shard(folder, name, **more):
    """A run of one variant of a matrix."""
    found = [replace(m, variant=name) for m in clean()]
    folder = left(folder / name, name, found=found, tests=(f"blocks[{name}]",), **more)
    checkpoint = {"kind": "synthetic", "description": "", "digest": name}
    again(folder, checkpoints={name: checkpoint}, costs={
        name: {"peak_resident_bytes": 5, "seconds": {"onnx": {"0": 1.0}}},
        "": {"peak_resident_bytes": len(name), "seconds": {}},
    })  # fmt: skip
    return reader.read(folder)


def test_shards_of_a_matrix_are_one_run(tmp_path):
    shards = [shard(tmp_path, "vits16"), shard(tmp_path, "vitb16", gap=[(OTHER, 4)])]
    joined = reader.joined(shards)
    count = len(clean())
    assert joined.found == [*shards[0].found, *shards[1].found]
    assert joined.folder == tmp_path
    header = joined.header
    contract = header["contract"]
    assert (contract["declared"], contract["compared"]) == (2 * count + 4, 2 * count)
    assert (contract["inputs"], len(contract["missing"])) == (2, 1)
    assert set(header["checkpoints"]) == {"vits16", "vitb16"}
    assert header["costs"][""]["peak_resident_bytes"] == 6
    assert [test["test"] for test in header["tests"]] == [
        "t.py::blocks[vits16]",
        "t.py::blocks[vitb16]",
    ]
    assert [one["folder"] for one in header["runs"]] == ["vits16", "vitb16"]
    assert (header["id"], header["exit"], header["seconds"]) == (
        "vits16+vitb16",
        "tests failed",
        4.0,
    )
    assert header["differs"] == {}


def test_what_is_lost_of_a_shard_is_told_by_its_folder(tmp_path):
    shards = [shard(tmp_path, "vits16"), shard(tmp_path, "vitb16")]
    (tmp_path / "vitb16" / RUN).unlink()
    joined = reader.joined([shards[0], reader.read(tmp_path / "vitb16")])
    (told,) = joined.lost
    assert told.startswith("vitb16: run.json is missing")


def test_a_comparison_of_two_runs_counts_once_and_the_last_is_it(tmp_path):
    read = partial(left, tmp_path / "first", "a1", gap=[(OTHER, 4)], tests=("blocks", "gap"))
    worse = [replace(m, ratio=50.0, passed=False) for m in clean()]
    first = reader.read(read(found=[*worse, *clean(block=3)]))
    second = reader.read(left(tmp_path / "second", "b2", tests=("blocks", "gap")))
    joined = reader.joined([first, second])
    count = len(clean())
    assert joined.found == [*clean(block=3), *clean()]
    assert joined.header["contract"] == {
        "declared": 2 * count, "compared": 2 * count, "inputs": 1, "missing": [],
    }  # fmt: skip
    assert [t["test"] for t in joined.header["tests"]] == ["t.py::blocks", "t.py::gap"]
    assert reader.joined([second, first]).found == first.found


def test_a_gap_stays_where_its_test_was_not_run_again(tmp_path):
    first = reader.read(left(tmp_path / "first", "a1", gap=[(OTHER, 4)], tests=("blocks", "gap")))
    joined = reader.joined([first, reader.read(left(tmp_path / "second", "b2"))])
    contract = joined.header["contract"]
    assert contract["declared"] - contract["compared"] == 4 and len(contract["missing"]) == 1


def test_the_same_run_given_twice_counts_once(tmp_path):
    one = reader.read(left(tmp_path / "r"))
    assert reader.joined([one, one]) == reader.joined([one])


def test_where_runs_differ_is_said(tmp_path):
    first, second = shard(tmp_path, "vits16"), shard(tmp_path, "vitb16")
    first.header["versions"], second.header["versions"] = (
        {"numpy": "2.2", "jax": "1"},
        {"numpy": "2.4"},
    )
    second.header["inputs"]["seed"] = 9
    unknown = replace(shard(tmp_path, "vitl16"), header=reader.filled({})[0])
    joined = reader.joined([first, unknown, second])
    assert joined.header["versions"] == {"numpy": "2.2", "jax": "1"}
    assert joined.header["differs"] == {
        "numpy": ["2.2", "2.4"], "jax": ["1", None], "seed": [0, 9],
    }  # fmt: skip


def test_runs_on_two_checkpoints_of_a_variant_are_refused(tmp_path):
    first = reader.read(left(tmp_path / "first", "a1"))
    second = reader.read(left(tmp_path / "second", "b2", digest="e" * 64))
    with pytest.raises(ParityError, match=r"vits16 on different checkpoints \(d{12} and e{12}\)"):
        reader.joined([first, second])


def test_no_run_is_nothing_to_join():
    with pytest.raises(ParityError, match="no run to join"):
        reader.joined([])


def test_of_several_runs_only_the_options_that_all_had_are_repeated(tmp_path):
    """A checkpoint of one variant is none of another's: no option is better than a wrong one."""
    one = left(tmp_path / "r", options=["--seed=3", "--profile=release-like"])
    other = left(tmp_path / "s", name="b2", options=["--profile=release-like"])
    both = reader.joined([reader.read(one), reader.read(other)])
    assert both.header["options"] == ["--profile=release-like"]
