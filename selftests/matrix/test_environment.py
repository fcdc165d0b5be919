"""An environment runs the cells of a bundle, whole or a part of them, with onnxruntime alone."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from dinov3_parity.fixtures.matrix import bundle as making
from dinov3_parity.parity.matrix import environments
from dinov3_parity.parity.matrix.bundle import MANIFEST, Bundle
from dinov3_parity.parity.matrix.cell import (
    CRASH,
    LOW,
    OK,
    cells,
)
from dinov3_parity.reports.pages import matrix

from selftests.conftest import ROOT
from selftests.support.bundles import faulty
from selftests.support.processes import environment


def run_cells(folder, out, *words):
    command = [
        sys.executable, "-m", "pytest", "-c", "parity/matrix/pytest.ini", "--rootdir", "parity/matrix",
        "--confcutdir", "parity/matrix", "-p", "no:dinov3_parity", "parity/matrix/test_runtime.py",
        f"--bundle={folder}", f"--out={out}", *words,
    ]  # fmt: skip
    alone = environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=alone, text=True, capture_output=True, timeout=300)


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


def test_the_job_matrix_has_every_environment_and_part():
    told = json.loads(matrix.github(2))
    assert told["shard"] == ["1/2", "2/2"]
    assert told["environment"] == list(environments.NAMES)


def test_the_environments_are_those_of_tox():
    tox = (ROOT / "tox.ini").read_text()
    (numbers,) = re.findall(r"testenv:ort1\.\{([\d,]+)\}", tox)
    assert [f"1.{number}" for number in numbers.split(",")] == list(environments.RELEASES)
    assert re.findall(r"onnxruntime==(1\.\d+)\.\*", tox) == list(environments.RELEASES)
