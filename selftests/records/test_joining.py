"""Several runs read as one: shards of a matrix, and runs of the same."""

import dataclasses
from functools import partial

import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.records import reader
from dinov3_parity.parity.records.run_folder import RUN
from msgspec.structs import replace

from selftests.support.records.left import OTHER, again, left
from selftests.support.records.measurements import clean


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


def test_the_pipeline_of_several_runs_has_the_stages_of_all(tmp_path):
    meta, one, other = (
        {"name": n, "parent": p, "packages": []} for n, p in (("a", ""), ("b", "a"), ("c", "a"))
    )
    first = left(tmp_path / "first", "a1", pipeline=[meta, one])
    second = left(tmp_path / "second", "b2", pipeline=[meta, other])
    joined = reader.joined([reader.read(first), reader.read(second)])
    assert joined.header["pipeline"] == [meta, one, other]


def test_where_runs_differ_is_said(tmp_path):
    first, second = shard(tmp_path, "vits16"), shard(tmp_path, "vitb16")
    first.header["versions"], second.header["versions"] = (
        {"numpy": "2.2", "jax": "1"},
        {"numpy": "2.4"},
    )
    second.header["inputs"]["seed"] = 9
    unknown = dataclasses.replace(shard(tmp_path, "vitl16"), header=reader.filled({})[0])
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


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("dinov3-parity check a.py:A", "dinov3-parity check a.py:A", "dinov3-parity check a.py:A"),
        (
            "dinov3-parity check a.py:A",
            "dinov3-parity check b.py:B",
            "pytest --pyargs dinov3_parity",
        ),
        ("pytest", "pytest --pyargs dinov3_parity", "pytest --pyargs dinov3_parity"),
    ],
)
def test_several_runs_are_repeated_by_what_repeats_each(tmp_path, first, second, both):
    one = reader.read(left(tmp_path / "r", name="a1", program=first))
    other = reader.read(left(tmp_path / "s", name="b2", program=second))
    assert reader.joined([one, other]).header["program"] == both


def test_of_several_runs_only_the_options_that_all_had_are_repeated(tmp_path):
    """A checkpoint of one variant is none of another's: no option is better than a wrong one."""
    one = left(tmp_path / "r", options=["--seed=3", "--profile=release-like"])
    other = left(tmp_path / "s", name="b2", options=["--profile=release-like"])
    both = reader.joined([reader.read(one), reader.read(other)])
    assert both.header["options"] == ["--profile=release-like"]
