"""Artifacts are made once, found again, noticed when damaged, and never left half made."""

import os
import subprocess
import sys

import pytest

from fixtures.command import main
from fixtures.store import MANIFEST, Store
from parity.errors import ParityError

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
from fixtures.store import Store
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
