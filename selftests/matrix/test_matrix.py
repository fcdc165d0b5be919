"""The onnxruntime matrix: bundles, cells in processes of their own, verdicts, deviations, merging."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array, to_array
from packaging.specifiers import SpecifierSet

from dinov3_parity.fixtures.matrix import bundle as making
from dinov3_parity.fixtures.checkpoints.block_subset import Excerpt
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.parity.matrix import deviations
from dinov3_parity.parity.matrix.bundle import Bundle, MANIFEST
from dinov3_parity.parity.matrix.cell import (
    CRASH,
    Cell,
    DRIFT,
    LOW,
    OK,
    Record,
    UNSUPPORTED,
    _strongest,
    cells,
    measured,
)
from dinov3_parity.parity.runtimes.isolated import Nursery
from dinov3_parity.parity.matrix.deviations import Deviation
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.variants import VARIANTS
from dinov3_parity.reports.pages import html, matrix
from selftests.conftest import ROOT
from selftests.reports.test_report import loads_nothing


@pytest.fixture(scope="module")
def pipe(store):
    part = Excerpt(Synthetic(VARIANTS["vits16"]), (0,))
    return Pipeline(part.variant, part, store)


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory):
    """A bundle of one block: opset 21, and the file that kills every onnxruntime."""
    maker = making.Maker(pipe, tmp_path_factory.mktemp("bundle") / "new")
    maker.exports((21,), ("static",), seed=0, count=1)
    maker.deadly(seed=0)
    maker.low_precision()
    return maker.finish("one block").parent


@pytest.fixture
def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def cell_of(bundle, name, level="all", threads=0):
    return next(
        (cell, model)
        for cell, model in cells(bundle, "1.99.0")
        if (model.name, cell.level, cell.threads) == (name, level, threads)
    )


def ran(folder, name, nursery, **which):
    bundle = Bundle(folder)
    return measured(bundle, *cell_of(bundle, name, **which), nursery)


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_a_sound_file_is_ok_and_what_looking_at_it_changes_is_told(folder, nursery, level):
    found = ran(folder, "static-21", nursery, level=level)
    assert found.verdict == OK and 0.3 < found.ratio < found.limit
    assert found.observer is not None and found.observer < 1e-4


def test_a_crash_is_a_cells_result_and_the_next_cell_runs(folder, nursery):
    found = ran(folder, "mislabelled-15", nursery)
    assert (found.verdict, found.words) == (CRASH, "SIGSEGV while loading")
    assert ran(folder, "static-21", nursery).verdict == OK


def test_a_session_that_does_not_end_is_ended(folder):
    impatient = Nursery(timeout=0.01)
    found = ran(folder, "static-21", impatient)
    impatient.close()
    assert found.verdict == CRASH and found.words.startswith("no end after 0.01 s")


def test_a_session_beyond_its_memory_is_a_crash_in_words(folder):
    poor = Nursery(memory=64 << 20)
    found = ran(folder, "static-21", poor)
    poor.close()
    assert found.verdict == CRASH, found
    assert " while " in found.words, "what ended it depends on who asked for memory first"


def test_a_file_that_is_none_is_refused_in_onnxruntimes_words(copied, nursery):
    (copied / "models" / "static-21.onnx").write_bytes(b"<html>")
    found = ran(copied, "static-21", nursery)
    assert found.verdict == UNSUPPORTED and "static-21.onnx" in found.words


def faulty(path, block_weight):
    """Change one projection in a file: each tensor whose size is that of the block's."""
    model = onnx.load(path)
    for tensor in (*model.graph.initializer, *constants(model)):
        value = to_array(tensor)
        if value.shape == block_weight:
            tensor.CopyFrom(from_array(value * np.float32(1.001), tensor.name))
            break
    else:
        raise AssertionError("no such tensor")
    onnx.save(model, path)


def constants(model):
    for function in model.functions:
        for node in function.node:
            yield from (
                a.t for a in node.attribute if node.op_type == "Constant" and a.HasField("t")
            )


def test_a_drift_is_found_and_its_first_place_named(pipe, copied, nursery):
    path = copied / "models" / "static-21.onnx"
    faulty(path, (384, 1536))
    assert ran(copied, "static-21", nursery).first.startswith("in the untouched file alone")
    maker = making.Maker(pipe, copied.parent / "again")
    tapped = maker.folder / maker._tap(path, "faulty")
    for file in (tapped, tapped.with_suffix(".bin")):
        shutil.copy(file, copied / "tapped")
    manifest = json.loads((copied / MANIFEST).read_text())
    for model in manifest["models"]:
        model["tapped"] = "tapped/faulty.onnx"
    manifest["files"]["tapped/faulty.onnx"] = ""
    (copied / MANIFEST).write_text(json.dumps(manifest))
    found = ran(copied, "static-21", nursery)
    assert found.verdict == DRIFT and found.ratio > 10 * found.limit
    assert found.first.startswith("block 0, output")


def test_a_fault_in_one_token_is_a_drift(folder):
    bundle = Bundle(folder)
    _, model = cell_of(bundle, "static-21")
    standards = [bundle.standards(name) for name in model.inputs]
    shown = [{"patches": known["patches"].meta.copy()} for known in standards]
    shown[0]["patches"][0, 77] += np.float32(8 * standards[0]["patches"].floor.tokens[0, 77])
    found = _strongest(model, shown, standards)
    assert found["tap"] == "patches, one token" and found["ratio"] > found["limit"] == 4.5


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_lower_precision_has_a_floor_of_its_own(folder, nursery, precision):
    found = ran(folder, f"static-21-{precision}", nursery)
    assert found.verdict == LOW and found.limit is None
    assert 0.2 < found.ratio < 5, "about what rounding the weights does"
    assert found.cosine > 0.99 and list(found.growth) == ["0"]


def run_cells(folder, out, *words):
    command = [
        sys.executable, "-m", "pytest", "-c", "parity/matrix/pytest.ini", "--rootdir", "parity/cells",
        "--confcutdir", "parity/cells", "-p", "no:dinov3_parity", "parity/matrix/test_runtime.py",
        f"--bundle={folder}", f"--out={out}", *words,
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=300
    )


@pytest.fixture(scope="module")
def unsharded(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return run_cells(folder, out), out


def test_an_environment_runs_every_cell_without_torch_or_jax(folder, unsharded):
    done, out = unsharded
    assert done.returncode == 0, done.stdout
    run = json.loads((out / "run.json").read_text())
    assert run["frameworks"] == [] and run["unmatched"] == []
    found = matrix.merged([out])
    assert len(found.records) == len(list(cells(Bundle(folder), "x")))
    assert {r.verdict for r in found.records} == {OK, CRASH, LOW}
    assert matrix.failures(found) == []


def test_a_merged_run_equals_an_unsharded_one_record_for_record(folder, unsharded, tmp_path):
    for part in (1, 2, 3):
        assert run_cells(folder, tmp_path / str(part), f"--shard={part}/3").returncode == 0
    whole, parts = matrix.merged([unsharded[1]]), matrix.merged([tmp_path])
    assert [r.line() for r in parts.records] == [r.line() for r in whole.records]


def test_what_no_entry_explains_fails_the_environment(folder, tmp_path):
    worse = tmp_path / "copy"
    shutil.copytree(folder, worse)
    faulty(worse / "models" / "static-21.onnx", (384, 1536))
    manifest = json.loads((worse / MANIFEST).read_text())
    name = "models/static-21.onnx"
    manifest["files"][name] = making.sha256(worse / name)
    (worse / MANIFEST).write_text(json.dumps(manifest))
    done = run_cells(worse, tmp_path / "out", "-k", "opset21-static-all-default")
    assert done.returncode == 1
    assert "drift" in done.stdout and "times the rounding floor at" in done.stdout


@pytest.mark.parametrize("words", ["0/2", "3/2", "x", "1"])
def test_a_shard_that_is_none_is_refused(folder, tmp_path, words):
    done = run_cells(folder, tmp_path, f"--shard={words}")
    if words != "x" or done.returncode:
        assert done.returncode == pytest.ExitCode.USAGE_ERROR and "write I/N" in done.stderr


def test_a_bundle_that_was_changed_is_refused(copied):
    next((copied / "inputs").iterdir()).write_bytes(b"changed")
    with pytest.raises(ParityError, match="not what the bundle was made with"):
        Bundle(copied).verify()


def test_a_manifest_that_leads_out_of_its_folder_is_refused(copied):
    manifest = json.loads((copied / MANIFEST).read_text())
    manifest["files"]["../secret"] = ""
    (copied / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ParityError, match="is not a file of the bundle"):
        Bundle(copied).path("../secret")


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ParityError, match="is no bundle"):
        Bundle(tmp_path).models  # noqa: B018


def test_a_folder_in_use_is_left_alone(pipe, copied):
    with pytest.raises(ParityError, match="is not empty"):
        making.Maker(pipe, copied)


CELL = Cell("1.23.2", "static-21", 21, "static", "float32", "all", 1)
DRIFTED = Record(CELL, DRIFT, ratio=40.0, limit=4.0, tap="pooled", input="B1 14x14 seed=2")
LISTED = Deviation(
    "gelu by tanh", DRIFT, SpecifierSet(">=1.23,<1.24"), "why", "how", opsets=(21,), ceiling=50.0
)


def test_a_listed_defect_is_explained_and_an_unlisted_one_is_not():
    assert deviations.unlisted(DRIFTED, [LISTED]) == ""
    assert "40 times the rounding floor at pooled" in deviations.unlisted(DRIFTED, [])
    elsewhere = replace(LISTED, versions=SpecifierSet("<1.23"))
    assert "40 times" in deviations.unlisted(DRIFTED, [elsewhere])


def test_a_listed_defect_that_got_worse_fails():
    words = deviations.unlisted(replace(DRIFTED, ratio=51.0), [LISTED])
    assert "worse than the listed 'gelu by tanh'" in words


def test_a_listed_defect_that_no_longer_happens_fails():
    words = deviations.unlisted(Record(CELL, OK, 1.0, 4.0, "cls"), [LISTED])
    assert "'gelu by tanh' is listed and did not happen" in words


def test_an_entry_about_no_cell_is_named():
    other = replace(LISTED, name="other", opsets=(30,))
    assert deviations.unmatched([DRIFTED], [LISTED, other]) == ["other"]


@pytest.mark.parametrize(
    "text",
    [
        "[[deviation]]\nname = 'x'",
        "[[deviation]]\nname='x'\nverdict='drift'\nversions='>1'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='ok'\nversions='>1'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='crash'\nversions='new'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='crash'\nversions='>1'\nreason='r'\nevidence='e'\nopset=1",
        "not toml",
    ],
)
def test_a_policy_file_that_is_not_well_formed(tmp_path, text):
    (tmp_path / "d.toml").write_text(text)
    with pytest.raises(ParityError, match="is not a policy file"):
        deviations.load(tmp_path / "d.toml")


def test_the_policy_gives_reason_and_evidence_for_every_entry():
    for entry in deviations.load():
        assert entry.reason and entry.evidence


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (["1.18.1", "1.19.2", "1.20.0"], "1.18–1.20"),
        (["1.18.1", "1.20.0", "1.21.0"], "1.18, 1.20–1.21"),
        (["1.19.2"], "1.19"),
    ],
)
def test_versions_in_a_few_words(chosen, told):
    assert matrix.ranges(chosen, ["1.18.1", "1.19.2", "1.20.0", "1.21.0"]) == told


def run_of(folder, found, bundle="a" * 64, version="1.23.2"):
    folder.mkdir()
    run = {
        "kind": "matrix", "onnxruntime": version, "numpy": "2", "python": "3.11", "system": "Linux",
        "cores": 2, "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "shard": "1/1",
        "bundle": bundle, "title": "vits16 <b>", "variant": "vits16", "frameworks": [], "unmatched": [],
        "checkpoint": {"kind": "synthetic", "description": "synthetic", "digest": "0"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "cells.jsonl").write_text("".join(json.dumps(r.line()) + "\n" for r in found))
    return folder


def test_the_sentence_says_where_a_file_is_safe_and_where_it_first_departs(tmp_path):
    fine = [
        Record(replace(CELL, version=v), OK, 1.0, 4.0, "cls", max_abs=1e-6)
        for v in ("1.21.1", "1.22.0")
    ]
    found = matrix.merged([run_of(tmp_path / "a", [*fine, DRIFTED])])
    (line,) = matrix.safe(found)
    assert line.startswith("opset 21: safe on 1.21–1.22; first departure: opset21-static-all-1")
    assert "onnxruntime 1.23.2: drift, 40 times the rounding floor at pooled" in line


def test_versions_without_a_record_are_absent(tmp_path):
    found = matrix.merged([run_of(tmp_path / "a", [DRIFTED])])
    assert "1.23" not in matrix.absent(found) and "1.24" in matrix.absent(found)
    rows = dict(matrix.grid(found)["rows"])
    assert {box["verdict"] for box in rows["1.24"]} == {"absent"}
    assert list(rows) == sorted(rows, key=lambda v: [int(part) for part in v.split(".")])


def test_the_page_shows_names_as_text_and_fetches_nothing(tmp_path):
    found = matrix.merged([run_of(tmp_path / "a", [DRIFTED])])
    page = matrix.render(found, (html.MATRIX,))
    assert "vits16 &lt;b&gt;" in page and "vits16 <b>" not in page
    assert loads_nothing(page)


def test_a_box_that_drifts_names_the_first_place_that_departs(tmp_path):
    drifted = replace(DRIFTED, first="block 3, output (41, B1 14x14 seed=2)")
    page = matrix.render(matrix.merged([run_of(tmp_path / "a", [drifted])]), (html.MATRIX,))
    box = page[page.index("✗</span>") :]
    assert "<small>block 3, output</small>" in box[: box.index("</td>")]


def test_runs_of_different_bundles_do_not_merge(tmp_path):
    folders = [run_of(tmp_path / name, [DRIFTED], bundle=name * 64) for name in "ab"]
    with pytest.raises(ParityError, match="different bundles"):
        matrix.merged(folders)


def test_a_folder_without_records(tmp_path):
    with pytest.raises(ParityError, match=r"There is no cells\.jsonl"):
        matrix.merged([tmp_path])


def test_the_job_matrix_has_every_environment_and_part():
    told = json.loads(matrix.github(2))
    assert told["shard"] == ["1/2", "2/2"]
    assert told["environment"][0] == "ort1.18" and len(told["environment"]) >= 12


def test_a_file_of_ones_own_is_looked_at_and_judged(pipe, folder, tmp_path, nursery):
    maker = making.Maker(pipe, tmp_path / "own")
    maker.own(folder / "models" / "static-21.onnx", {}, seed=0, count=1)
    own = maker.finish("own").parent
    (model,) = Bundle(own).models
    assert (model.tokens, model.opset, model.channels_last) == ("cls patches", 21, False)
    assert ran(own, model.name, nursery).verdict == OK


def test_a_file_of_other_weights_is_refused_as_such(pipe, store, tmp_path):
    from dinov3_parity.fixtures.stages.onnx.vit import export

    part = Excerpt(Synthetic(VARIANTS["vits16"], seed=1), (0,))
    other = Pipeline(part.variant, part, store)
    export(other.stage("mapped").model, "static", tmp_path / "other.onnx")
    maker = making.Maker(pipe, tmp_path / "own")
    with pytest.raises(ParityError, match="something else than cls patches of this checkpoint"):
        maker.own(tmp_path / "other.onnx", {}, seed=0, count=1)


def test_a_file_whose_data_lies_elsewhere_is_refused(pipe, folder, tmp_path):
    model = onnx.load(folder / "tapped" / "static-21.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    (tmp_path / "in").mkdir()
    onnx.save(model, tmp_path / "in" / "own.onnx")
    maker = making.Maker(pipe, tmp_path / "own")
    with pytest.raises(ParityError, match="outside the file's folder"):
        maker.own(tmp_path / "in" / "own.onnx", {}, seed=0, count=1)


def test_a_file_that_is_no_onnx(pipe, tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ParityError, match="is not an ONNX file"):
        making.Maker(pipe, tmp_path / "own").own(tmp_path / "page.onnx", {}, seed=0, count=1)
