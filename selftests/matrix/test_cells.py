"""A cell is judged by what its file does in a process of its own."""

import json
import os
import shutil
import sys

import numpy as np
import onnx
import pytest
from dinov3_parity.fixtures.matrix import bundle as making
from dinov3_parity.fixtures.ports import tapped_copy
from dinov3_parity.parity.matrix.bundle import MANIFEST, Bundle
from dinov3_parity.parity.matrix.cell import (
    CRASH,
    DRIFT,
    LOW,
    OK,
    UNSUPPORTED,
    _strongest,
)
from dinov3_parity.parity.runtimes import isolated
from dinov3_parity.parity.runtimes.isolated import ChildRunner
from onnx.numpy_helper import from_array, to_array

from selftests.support.bundles import cell_of, constants, faulty, ran


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_a_sound_file_is_ok_and_what_looking_at_it_changes_is_told(folder, runner, level):
    found = ran(folder, "static-21", runner, level=level)
    assert found.verdict == OK and 0.3 < found.ratio < found.limit
    assert found.observer is not None and found.observer < 1e-4


def test_a_crash_is_a_cells_result_and_the_next_cell_runs(folder, runner):
    found = ran(folder, "mislabelled-15", runner)
    assert (found.verdict, found.words) == (CRASH, "SIGSEGV while loading")
    assert ran(folder, "static-21", runner).verdict == OK


class Elsewhere(ChildRunner):
    """A runner on a system that is no Linux, in whose way no process is forked."""

    def _asked(self, spec):
        return isolated.way()(spec)


def test_where_a_fork_is_not_safe_each_session_is_a_program_of_its_own(folder, monkeypatch):
    """macOS has fork as well; a child of a process that imported onnxruntime may be ended there."""
    forked = []
    monkeypatch.setattr(os, "fork", lambda: forked.append(1))
    monkeypatch.setattr(sys, "platform", "darwin")
    runner = Elsewhere()
    assert ran(folder, "static-21", runner).verdict == OK
    found = ran(folder, "mislabelled-15", runner)
    assert (found.verdict, found.words) == (CRASH, "SIGSEGV while loading")
    found = ran(folder, "static-21", Elsewhere(timeout=0.01))
    assert found.verdict == CRASH and found.words.startswith("no end after 0.01 s")
    assert not forked
    monkeypatch.setattr(sys, "platform", "linux")
    assert isolated.way() is isolated._forked


def test_a_session_that_does_not_end_is_ended(folder):
    impatient = ChildRunner(timeout=0.01)
    found = ran(folder, "static-21", impatient)
    impatient.close()
    assert found.verdict == CRASH and found.words.startswith("no end after 0.01 s")


def test_a_session_beyond_its_memory_is_a_crash_in_words(folder):
    poor = ChildRunner(memory=64 << 20)
    found = ran(folder, "static-21", poor)
    poor.close()
    assert found.verdict == CRASH, found
    assert " while " in found.words, "what ended it depends on who asked for memory first"


def test_a_file_that_is_none_is_refused_in_onnxruntimes_words(copied, runner):
    (copied / "models" / "static-21.onnx").write_bytes(b"<html>")
    found = ran(copied, "static-21", runner)
    assert found.verdict == UNSUPPORTED and "static-21.onnx" in found.words


def test_a_drift_is_found_and_its_first_place_named(pipe, copied, runner):
    path = copied / "models" / "static-21.onnx"
    faulty(path, (384, 1536))
    assert ran(copied, "static-21", runner).first.startswith("in the untouched file alone")
    maker = making.Maker(pipe, copied.parent / "again")
    tapped = maker.folder / maker._tap(path, "faulty")
    for file in (tapped, tapped.with_suffix(".bin")):
        shutil.copy(file, copied / "tapped")
    manifest = json.loads((copied / MANIFEST).read_text())
    for model in manifest["models"]:
        model["tapped"] = "tapped/faulty.onnx"
    manifest["files"]["tapped/faulty.onnx"] = ""
    (copied / MANIFEST).write_text(json.dumps(manifest))
    found = ran(copied, "static-21", runner)
    assert found.verdict == DRIFT and found.ratio > 10 * found.limit
    assert found.first.startswith("block 0, output")


def test_what_the_ends_do_not_show_is_found_in_its_block(pipe, folder, tmp_path, runner):
    """A norm's weight off by a millionth: within the limits of every result, not of its own block."""
    model = onnx.load(folder / "models" / "static-21.onnx")
    weight = pipe.checkpoint["blocks.0.norm1.weight"]
    stored = (*model.graph.initializer, *constants(model))
    held = [t for t in stored if np.array_equal(to_array(t), weight)]
    assert held
    for tensor in held:
        tensor.CopyFrom(from_array(weight * np.float32(1 + 1e-6), tensor.name))
    onnx.save(model, tmp_path / "off.onnx")
    maker = making.Maker(pipe, tmp_path / "own", blocks=tapped_copy.write_blocks)
    maker.own(tmp_path / "off.onnx", told={}, seed=0, count=0, write=tapped_copy.write)
    own = maker.finish("own").parent
    ends = ran(own, "off", runner, threads=1)
    assert (ends.verdict, ends.inside) == (OK, 0), "at its ends alone"
    found = ran(own, "off", runner)
    assert (found.verdict, found.tap) == (DRIFT, "block 0, norm1, by itself") and found.inside >= 3
    assert found.ratio > found.limit


def test_a_fault_in_one_token_is_a_drift(folder):
    bundle = Bundle(folder)
    _, model = cell_of(bundle, "static-21")
    standards = [bundle.standards(name) for name in model.inputs]
    shown = [{"patches": known["patches"].meta.copy()} for known in standards]
    shown[0]["patches"][0, 77] += np.float32(8 * standards[0]["patches"].floor.tokens[0, 77])
    found = _strongest(model, shown, standards)
    assert found["tap"] == "patches, one token" and found["ratio"] > found["limit"] == 6.5


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_lower_precision_has_a_floor_of_its_own(folder, runner, precision):
    found = ran(folder, f"static-21-{precision}", runner)
    assert found.verdict == LOW and found.limit is None
    assert 0.2 < found.ratio < 5, "about what rounding the weights does"
    assert found.cosine > 0.99 and list(found.growth) == ["0"]
