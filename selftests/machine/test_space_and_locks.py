"""Without space or locks, one paragraph says so and nothing is left."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

import pytest
from dinov3_parity.fixtures.store.store import Store

from selftests.support.children import WHATS, contents, held, left_over, paragraph
from selftests.support.machine import THING, write_thing


@pytest.mark.parametrize("what", WHATS)
def test_a_file_that_cannot_grow_is_told_and_leaves_nothing(start, undisturbed, tmp_path, what):
    """RLIMIT_FSIZE refuses, as a full disk does, at a byte of our choice: anywhere, without rights.

    Of other artifacts than equimo it is thorough: the store takes the same steps for each."""
    usual, root = undisturbed.made(what), tmp_path / "store"
    undisturbed.sources(what, root)
    beside = Store(root).fetch(*THING, write_thing)
    largest = max(path.stat().st_size for path in usual.path.rglob("*") if path.is_file())
    for size in (100, largest // 2)[what != "equimo" :]:
        words = paragraph(start("make", root=root, what=what, size=size).go().result())
        assert "No artifact could be written" in words and "Make room" in words
        assert (left_over(root), held(root)) == ([], [])
        assert Store(root).fetch(*THING, pytest.fail).path == beside.path
    assert (
        start("make", root=root, what=what).go().result()["reused"][usual.path.parent.name] is False
    )
    assert contents(root / usual.path.relative_to(undisturbed.root)) == usual.contents


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of three megabytes, and how to make it larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*words: str) -> int:
        return subprocess.run([*words, str(place)], capture_output=True).returncode

    if not shutil.which("mount") or mount("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        pytest.skip("a disk can be mounted by root alone; RLIMIT_FSIZE above needs no rights")
    yield place, lambda: mount("mount", "-o", "remount,size=50m")
    mount("umount", "-l")


def test_a_full_disk_is_told_and_once_there_is_room_the_same_call_works(
    start, undisturbed, tiny_disk
):
    usual, (disk, enlarge) = undisturbed.made("equimo"), tiny_disk
    root = disk / "store"
    beside = Store(root).fetch(*THING, write_thing)
    words = paragraph(start("make", root=root, what="equimo").go().result())
    assert "No artifact could be written" in words and "Make room" in words
    assert (left_over(root), held(root)) == ([], [])
    fill(disk / "filler")
    assert start("thing", root=root).go().result() == {"path": str(beside.path), "reused": [True]}
    words = paragraph(start("make", root=root, what="equimo").go().result())
    assert "No space left on device" in words
    enlarge()
    assert start("make", root=root, what="equimo").go().result()["reused"] == {"equimo": False}
    assert contents(root / usual.path.relative_to(undisturbed.root)) == usual.contents


def fill(file: Path) -> None:
    """Write until not a byte more goes on its disk."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("later", [False, True], ids=["from the start", "later"])
@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_told(start, tmp_path, name, later):
    order = {"root": tmp_path, "lock_error": getattr(errno, name), "later": later}
    child = start("thing", **order).go()
    first = child.said()
    assert (first == "open") == later, "where it can be seen, the store is not opened at all"
    words = paragraph(child.result() if later else first)
    assert "its file system has no locks" in words and "--store DIR" in words
    assert list(Store(tmp_path).artifacts()) == []
