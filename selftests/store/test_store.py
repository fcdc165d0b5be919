"""Artifacts are made once, found again, noticed when damaged, and never left half made."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.store.store import MANIFEST, Store
from dinov3_parity.parity.errors import ParityError

INGREDIENTS = {"code": "1", "parent": "none"}


def maker(text="content"):
    def make(folder):
        (folder / "file.txt").write_text(text)

    return make


def never(folder):
    raise AssertionError("made again")


@pytest.fixture
def fresh(tmp_path):
    return Store(tmp_path / "store")


def test_an_artifact_is_made_once(fresh):
    first = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    second = fresh.fetch("thing", "vits16", INGREDIENTS, never)
    assert (first.reused, second.reused) == (False, True)
    assert (second.path / "file.txt").read_text() == "content"


def test_other_ingredients_are_another_artifact(fresh):
    first = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    second = fresh.fetch("thing", "vits16", INGREDIENTS | {"code": "2"}, maker("other"))
    assert first.path != second.path


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "file.txt").write_text("c0ntent"),
        lambda folder: (folder / "file.txt").unlink(),
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_text("{"),
    ],
    ids=["changed", "file missing", "manifest missing", "manifest cut off"],
)
def test_a_damaged_artifact_is_made_again(fresh, damage):
    first = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    damage(first.path)
    second = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    assert not second.reused
    assert (second.path / "file.txt").read_text() == "content"


def test_a_copied_store_is_still_good(fresh):
    """Only the times differ; the checksums hold."""
    first = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    os.utime(first.path / "file.txt", (1, 1))
    assert fresh.fetch("thing", "vits16", INGREDIENTS, never).reused


def test_a_maker_that_fails_leaves_nothing(fresh):
    def half(folder):
        (folder / "file.txt").write_text("half")
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fresh.fetch("thing", "vits16", INGREDIENTS, half)
    assert list(fresh.artifacts()) == []
    assert list((fresh.root / "temporary").iterdir()) == []


def test_a_full_disk_is_told_in_one_paragraph_and_loses_nothing(fresh):
    """/dev/full refuses every write as a full disk does."""
    kept = fresh.fetch("thing", "vits16", INGREDIENTS, maker())

    def make(folder):
        (folder / "file.txt").symlink_to("/dev/full")
        (folder / "file.txt").write_text("too much")

    with pytest.raises(ParityError, match=r"No space left on device.*--clear.*--store") as caught:
        fresh.fetch("thing", "vits16", INGREDIENTS | {"code": "2"}, make)
    assert "\n" not in str(caught.value)
    assert fresh.fetch("thing", "vits16", INGREDIENTS, never).path == kept.path


@pytest.mark.parametrize("place", ["a file", "not writable"])
def test_a_store_that_cannot_be_used(tmp_path, place):
    root = tmp_path / "file" if place == "a file" else "/proc/dinov3-parity"
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ParityError, match=r"cannot be used.*--store DIR") as caught:
        Store(type(tmp_path)(root))
    assert "\n" not in str(caught.value)


def test_pytest_says_so_too(run_pytest, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    shown = run_pytest("-k", "vits16", store=tmp_path / "file")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "cannot be used" in shown.out and "Traceback" not in shown.out


MANY = """
import sys, time
from pathlib import Path
from dinov3_parity.fixtures.store.store import Store
def make(folder):
    time.sleep(0.3)
    (folder / "made-by").write_text(sys.argv[2])
print(Store(Path(sys.argv[1])).fetch("thing", "vits16", {}, make).reused)
"""


def test_one_of_many_processes_makes_it(tmp_path, pytestconfig):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, str(tmp_path / "store"), str(i)],
            cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True,
        )
        for i in range(6)
    ]  # fmt: skip
    assert (
        sorted(process.communicate()[0].strip() for process in running) == ["False"] + ["True"] * 5
    )


def test_the_command_lists_and_clears(fresh, capsys):
    fresh.fetch("thing", "vits16", INGREDIENTS, maker())
    assert main(["store", "--store", str(fresh.root)]) == 0
    assert "thing" in capsys.readouterr().out
    assert main(["store", "--store", str(fresh.root), "--clear"]) == 0
    assert list(fresh.artifacts()) == []


def test_the_command_tells_what_is_wrong(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["store", "--store", str(tmp_path / "file")]) == 2
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("told", [True, False])
def test_a_full_disk_behind_a_librarys_own_error_is_told_the_same(fresh, told):
    class TheirError(Exception):
        pass

    def make(folder):
        raise TheirError("I/O error: No space left on device (os error 28)" if told else "a bug")

    with pytest.raises(ParityError if told else TheirError):
        fresh.fetch("thing", "vits16", INGREDIENTS, make)


def test_an_error_of_equinox_names_its_cause(fresh):
    """It tells the leaf's path, and the system's refusal is what it was raised from."""

    def make(folder):
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("Error at leaf with path .norm") from error

    with pytest.raises(ParityError, match="No space left on device"):
        fresh.fetch("thing", "vits16", INGREDIENTS, make)


def test_what_a_maker_may_not_read_is_not_told_as_a_full_store(fresh, tmp_path):
    def make(folder):
        raise PermissionError(13, "Permission denied", str(tmp_path / "weights.pth"))

    with pytest.raises(PermissionError, match=r"weights\.pth"):
        fresh.fetch("thing", "vits16", INGREDIENTS, make)


def test_temporary_files_of_libraries_lie_in_the_store_and_go(fresh):
    before, seen = tempfile.gettempdir(), []

    def make(folder):
        seen.append(Path(tempfile.mkdtemp()))
        (seen[0] / "large.bin").write_text("")
        maker()(folder)

    artifact = fresh.fetch("thing", "vits16", INGREDIENTS, make)
    assert seen[0].is_relative_to(fresh.root) and not seen[0].exists()
    assert tempfile.gettempdir() == before
    assert sorted(p.name for p in artifact.path.iterdir()) == ["file.txt", MANIFEST]


def test_no_bit_of_a_manifest_can_bring_a_traceback_or_another_artifact(fresh):
    """A hundred flipped bits: what is used is what was made, whether found or made again."""
    path = fresh.fetch("thing", "vits16", INGREDIENTS, maker()).path / MANIFEST
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(100):
        damaged, place = bytearray(whole), draw.randrange(8 * len(whole))
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = fresh.fetch("thing", "vits16", INGREDIENTS, maker())
        assert (found.path / "file.txt").read_text() == "content"


@pytest.mark.parametrize(
    "manifest",
    [[], {}, {"files": []}, {"files": {}}, {"files": {"file.txt": 1}, "at": 1, "in": 1}, None, 7],
    ids=json.dumps,
)
def test_a_manifest_of_another_form_is_none(fresh, manifest):
    path = fresh.fetch("thing", "vits16", INGREDIENTS, maker()).path / MANIFEST
    path.write_text(json.dumps(manifest))
    assert not fresh.fetch("thing", "vits16", INGREDIENTS, maker()).reused


def test_a_manifest_of_a_million_brackets_is_none(fresh):
    path = fresh.fetch("thing", "vits16", INGREDIENTS, maker()).path / MANIFEST
    path.write_text("[" * 1_000_000)
    assert not fresh.fetch("thing", "vits16", INGREDIENTS, maker()).reused


def test_what_could_not_be_removed_was_not_freed(fresh, monkeypatch):
    fresh.fetch("thing", "vits16", INGREDIENTS, maker())

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dinov3_parity.fixtures.store.store._remove", refuse)
    assert fresh.clear() == 0
    monkeypatch.undo()
    assert fresh.clear() == len("content")
