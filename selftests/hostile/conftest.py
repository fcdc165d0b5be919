"""The sound files of every step, and a watched room for each hostile one."""

from __future__ import annotations

import os
import tempfile

import pytest
from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.cli.main import main

from selftests.support.hostile.room import SMALL, Good, Room, known


@pytest.fixture(scope="module", autouse=True)
def _small_variants():
    with pytest.MonkeyPatch.context() as patch:
        known(patch)
        yield


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """The sound files of every step, made by the commands themselves."""
    base = tmp_path_factory.mktemp("hostile")
    made = Good(base / "good", base / "store", Synthetic(SMALL))
    made.folder.mkdir()
    release.write(made.checkpoint, made.pth)
    with pytest.MonkeyPatch.context() as patch:
        known(patch)
        patch.setenv("DINOV3_PARITY_STORE", str(made.store))
        for words in (
            ["convert", "--weights", made.pth, "--output", made.archive],
            ["map", "--weights", made.archive, "--output", made.eqx],
            ["export", "--eqx", made.eqx, "--output", made.onnx],
            ["compare", "--weights", made.pth, "--onnx", made.onnx, "--equimo", made.archive,
             "--eqx", made.eqx],
        ):  # fmt: skip
            assert main([words[0], "--variant", SMALL.name, *map(str, words[1:])]) == 0
    _publish(made)
    assert made.artifacts
    return made


def _publish(made: Good) -> None:
    """The same numbers as Hugging Face publishes them."""
    from safetensors.numpy import save_file

    from selftests.support.stages import hugging_face

    made.shards.parent.mkdir()
    state = hugging_face.state(made.checkpoint)
    save_file({name: value.numpy() for name, value in state.items()}, made.shards)


@pytest.fixture
def room(good, tmp_path, capfd, monkeypatch):
    """A place for one hostile file; home, temporary files and the working directory are in it."""
    for name in ("in", "out", "tmp", "home", "cwd"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DINOV3_PARITY_STORE", str(good.store))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "cwd")
    yield Room(tmp_path, good, capfd)
    assert not list((tmp_path / "tmp").iterdir()), "temporary files stay behind"


@pytest.fixture
def bound_by_modes():
    if not os.geteuid():
        pytest.skip(
            "root is bound by no file's mode: run as a user (selftests.machine asks as nobody)"
        )
