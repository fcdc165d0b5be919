"""Children that make artifacts, what an undisturbed one makes, and how far one has come."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import lz4.frame
import onnx
import pytest
from dinov3_parity.fixtures.host import locks
from dinov3_parity.fixtures.store.store import MANIFEST

from selftests.support.processes import environment

ROOT = Path(__file__).parents[2]

#: How many kills the making of an equimo artifact gets, and from which seed moments are drawn.
KILLS = int(os.environ.get("DINOV3_PARITY_KILLS", "4"))
SEED = int(os.environ.get("DINOV3_PARITY_KILL_SEED", "0"))

#: The real artifacts that are tried: an export takes ten times as long as any other. The store treats
#: all alike, so that equimo is enough of a commit; how long a making stands where differs.
WHATS = (
    "equimo",
    *(
        pytest.param(what, marks=pytest.mark.thorough)
        for what in ("mapped", "recording", "onnx")[: 3 if KILLS >= 50 else 2]
    ),
)

#: Making computes nothing, so its programs need no optimizing; see ``fixtures.pipeline.background``.
QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_ENABLE_COMPILATION_CACHE": "0"}

NOBODY = 65534


def undisposed() -> dict[str, str]:
    """The environment without what this process's own run put there."""
    return environment("JAX_")


class Child:
    """A process that does one thing of ``machine``; it and all it starts can be killed."""

    def __init__(self, where: Path, role: str, order: dict, wait: bool = True):
        self.errors = where / "stderr"
        own = undisposed() | {"TMPDIR": str(where)}
        own |= QUICKLY if role == "make" else {}
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "selftests.support.machine", role, json.dumps(order, default=str)],
                cwd=ROOT, env=own, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until it has imported what it needs."""
        assert self.said() == "ready", self.errors.read_text()

    def go(self) -> Child:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self

    def said(self):
        """The next line that it says; None after its last."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def result(self) -> dict:
        """What came of it: its result, or ``refused`` and why; a traceback fails the test."""
        hung = threading.Timer(300, self._kill)
        hung.start()
        lines = self.process.stdout.readlines()
        code = self.process.wait()
        hung.cancel()
        assert code in (0, 2), "it hung" if code == -signal.SIGKILL else self.errors.read_text()
        assert "Traceback" not in self.errors.read_text()
        return json.loads(lines[-1])

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does, with all that it started."""
        if self.process.poll() is None:
            self._kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Made(NamedTuple):
    """What an undisturbed process made: the artifact, its contents, and how long it took."""

    path: Path
    contents: dict[str, str]
    seconds: float


class Undisturbed:
    """A store in which nothing went wrong; each artifact is made in it when it is first wanted."""

    def __init__(self, root: Path, start):
        self.root, self._start = root, start
        self._made: dict[str, Made] = {}

    def made(self, what: str) -> Made:
        if what not in self._made:
            for source in SOURCES[what]:
                self.made(source)
            told = self._start("make", root=self.root, what=what).go().result()
            path = Path(told["path"])
            self._made[what] = Made(path, contents(path), told["seconds"])
        return self._made[what]

    def sources(self, what: str, root: Path) -> None:
        """Put what an artifact is made from in another store."""
        for source in SOURCES[what]:
            folder = self.made(source).path
            shutil.copytree(folder, root / "artifacts" / folder.parent.name / folder.name)


#: What stands before a real artifact in the pipeline.
SOURCES = {"equimo": (), "mapped": ("equimo",), "onnx": ("equimo", "mapped"), "recording": ()}


def contents(folder: Path) -> dict[str, str]:
    """What each file of an artifact holds.

    Of an archive its members, whose headers hold times, and of the mark that Equimo 2 leaves beside them
    that it is there: it holds the archive's times. Of a copy with taps the parts of its graph, whose
    order was seen to differ from process to process.
    """
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.name.endswith(".tar.lz4"):
            with lz4.frame.open(path) as stream, tarfile.open(fileobj=stream) as archive:
                for member in archive:
                    found[f"{name}/{member.name}"] = digest(archive.extractfile(member).read())
        elif path.parent.name == "tapped" and path.suffix == ".onnx":
            graph = onnx.load(path, load_external_data=False).graph
            parts = [graph.node, graph.initializer, graph.input, graph.output, graph.value_info]
            written = [one.SerializeToString(deterministic=True) for part in parts for one in part]
            found[name] = digest(b"".join(sorted(written)))
        elif path.name == ".complete":
            found[name] = ""
        elif path.is_file() and path.name != MANIFEST:
            found[name] = digest(path.read_bytes())
    return found


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


#: How far a making has come, by what is on the disk.
STOOD = (
    "not begun",
    "nothing written",
    "half written to temporary files",
    "half written",
    "whole, not in its place yet",
    "in its place",
)

#: Of how many kills each is the aim.
WEIGHTS = (2, 4, 3, 4, 1, 1)


def standing(root: Path, place: Path) -> int:
    """Where of ``STOOD`` the making of the artifact of that place is."""
    if (place / MANIFEST).exists():
        return 5
    for workshop in entries(root / "temporary"):
        made, scratch = workshop / "made", workshop / "scratch"
        if (made / MANIFEST).exists():
            return 4
        return 3 if entries(made) else 2 if entries(scratch) else 1
    return 0


def entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing in one that is not there, or no longer."""
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def lengths(child: Child, root: Path, place: Path) -> list[float]:
    """How long an undisturbed making stands at each of ``STOOD``, in seconds."""
    stood, last = [0.0] * len(STOOD), time.perf_counter()
    while child.process.poll() is None:
        now, at = time.perf_counter(), standing(root, place)
        stood[at] += now - last
        last = now
        time.sleep(0.0005)
    child.result()
    return stood


def reach(child: Child, root: Path, place: Path, stood: int) -> None:
    """Wait until a making has come to one of ``STOOD``, or beyond, or to its end."""
    while standing(root, place) < stood and child.process.poll() is None:
        time.sleep(0.0005)


def left_over(root: Path) -> list[str]:
    return [path.name for path in (root / "temporary").iterdir()]


def paragraph(result: dict) -> str:
    """What a child that could not go on said: one paragraph."""
    assert "refused" in result, result
    assert "\n" not in result["refused"]
    return result["refused"]


def held(root: Path) -> list[str]:
    """The locks that a living process has."""
    found = []
    for file in (root / "locks").iterdir():
        lock = locks.taken(file, wait=False)
        if lock is None:
            found.append(file.name)
        else:
            lock.release()
    return found
