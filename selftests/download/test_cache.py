"""The cache on a disk that is full, without locks, taken or shared; and a process that is killed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from dinov3_parity.fixtures.download import fetching, part_file
from dinov3_parity.fixtures.download.fetching import fetch

from selftests.conftest import ROOT
from selftests.support.server import BODY, HALF, NAME, RELEASE, begun, files, stalling


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_keeps_what_it_took(refused, get, server, cache, monkeypatch):
    enter = part_file.Partial.__enter__

    def onto_a_full_disk(self):
        entered = enter(self)
        entered._file = Full(entered._file, HALF)
        return entered

    with monkeypatch.context() as patched:
        patched.setattr(part_file.Partial, "__enter__", onto_a_full_disk)
        said = refused()
    assert "No space left on device" in said and "Make room" in said and "goes on" in said
    assert len(server.asked) == 1, "another try would not help"
    assert (cache / f"{NAME}.part").read_bytes() == BODY[:HALF]
    assert get().resumed == HALF


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(refused, server, cache, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=HALF))
    said = refused()
    assert f"{len(BODY):,} bytes" in said and f"room for {HALF:,}" in said
    assert files(cache) == []
    begun(cache, BODY[: HALF + 10], etag='"first"')
    assert fetch(server.link, None, cache, known=(RELEASE,)).resumed == HALF + 10


def test_a_length_of_terabytes_is_not_begun(refused, server):
    server.script += [lambda handler: handler.answer(200, {}, BODY, length=10**16)]
    assert "Make room" in refused()


def test_a_cache_that_cannot_be_written(refused, cache, server):
    cache.write_text("a file")
    said = refused()
    assert str(cache) in said and "cannot be used" in said and server.asked == []


def test_a_file_system_without_locks(refused, server, monkeypatch):
    def acquire(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(fetching.filelock.FileLock, "acquire", acquire)
    assert "No locks available" in refused() and server.asked == []


def test_a_release_that_is_there_needs_no_lock(get, monkeypatch):
    """So that a cache may be one that can only be read."""
    got = get()
    monkeypatch.delattr(fetching.filelock, "FileLock")
    assert get().path == got.path


def test_a_folder_under_the_name(refused, cache, server):
    (cache / NAME).mkdir(parents=True)
    assert "is a folder" in refused() and server.asked == []


def test_a_link_in_place_of_the_partial_file_is_not_written_through(refused, cache, tmp_path):
    cache.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (cache / f"{NAME}.part").symlink_to(tmp_path / "precious")
    assert "is a link" in refused()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_two_fetches_of_one_name_are_one_download(get, server, cache, monkeypatch):
    monkeypatch.setattr(fetching, "_LOOK", 0.02)
    second, halfway, results, told = threading.Event(), threading.Event(), [], []

    def held(handler):
        handler.answer(200, {"ETag": '"first"'}, BODY[:HALF], len(BODY))
        halfway.set()
        second.wait(5)
        handler.wfile.write(BODY[HALF:])

    def waiting(done, total):
        told.append((done, total))
        if done == HALF:
            second.set()

    server.script += [held]
    first = threading.Thread(target=lambda: results.append(get()))
    first.start()
    halfway.wait(5)
    results.append(get(progress=waiting))
    first.join()
    assert len(server.asked) == 1 and {got.path.read_bytes() for got in results} == {BODY}
    assert (HALF, None) in told, "who waits tells how far the other is"


def test_a_killed_process_leaves_a_partial_file_that_the_next_goes_on_from(get, server, cache):
    server.script += [stalling]
    program = (
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "from dinov3_parity.fixtures.download.fetching import fetch\n"
        "fetch(sys.stdin.read(), None, Path(sys.argv[1]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, cache], stdin=subprocess.PIPE, cwd=ROOT, text=True
    )
    child.stdin.write(server.link)
    child.stdin.close()
    part, end = cache / f"{NAME}.part", time.monotonic() + 30
    while time.monotonic() < end and not (part.exists() and part.stat().st_size == HALF):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (cache / NAME).exists()
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == HALF and files(cache) == [NAME]
