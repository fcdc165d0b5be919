"""Faults of the machine: killed, crowded, starved of space, of locks, of the folder itself.

What a store hands out is whole, or one paragraph says what to do. Nothing here asserts how long
something takes. The real converters run, on a model of three small blocks; see ``machine``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
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
from dinov3_parity.fixtures.store.store import MANIFEST, Store
from dinov3_parity.parity.errors import ParityError
from selftests.support.machine import SMALL, THING, write_thing

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.xdist_group("machine")  # its children want both cores

#: How many kills the making of an equimo artifact gets, and from which seed moments are drawn.
KILLS = int(os.environ.get("DINOV3_PARITY_KILLS", "12"))
SEED = int(os.environ.get("DINOV3_PARITY_KILL_SEED", "0"))

#: The real artifacts that are tried: an export takes ten times as long as any other.
WHATS = ("equimo", "mapped", "recording", "onnx")[: 4 if KILLS >= 50 else 3]

#: Making computes nothing, so its programs need no optimizing; see ``fixtures.pipeline.background``.
QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_ENABLE_COMPILATION_CACHE": "0"}

NOBODY = 65534


def undisposed() -> dict[str, str]:
    """The environment without what this process's own run put there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PYTEST_"))}


class Child:
    """A process that does one thing of ``machine``; it and all it starts can be killed."""

    def __init__(self, where: Path, role: str, order: dict, wait: bool = True):
        self.errors = where / "stderr"
        environment = undisposed() | {"TMPDIR": str(where)}
        environment |= QUICKLY if role == "make" else {}
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "selftests.support.machine", role, json.dumps(order, default=str)],
                cwd=ROOT, env=environment, text=True, start_new_session=True,
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


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start a child: what it is to do, and with what. Those that still live are killed at the end."""
    started = []

    def begin(role: str, wait: bool = True, where: Path | None = None, **order) -> Child:
        child = Child(where or tmp_path_factory.mktemp("child"), role, order, wait)
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()


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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, start) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), start)


def contents(folder: Path) -> dict[str, str]:
    """What each file of an artifact holds.

    Of an archive its members, whose headers hold times; of a copy with taps the parts of its graph,
    whose order was seen to differ from process to process.
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


# Killed


@pytest.mark.parametrize("what", WHATS)
def test_kills_at_random_moments_do_no_harm(start, undisturbed, tmp_path, what):
    """Moments are drawn within each part of a making, as long as an undisturbed one's: first which
    part, then how much of it passes; so that a part is hit however short it is."""
    kills = KILLS if what == "equimo" else -(-KILLS // 6)
    usual = undisturbed.made(what)
    root, temporary = tmp_path / "store", tmp_path / "tmp"
    temporary.mkdir()
    undisturbed.sources(what, root)
    beside = Store(root).fetch(*THING, write_thing)
    place = root / usual.path.relative_to(undisturbed.root)
    stood = lengths(start("make", root=root, what=what).go(), root, place)
    shutil.rmtree(place)
    draw, fell = random.Random(f"{SEED} {what}"), []
    for _ in range(kills):
        (part,), share = draw.choices(range(len(STOOD)), WEIGHTS), draw.random()
        child = start("make", root=root, what=what, where=temporary).go()
        reach(child, root, place, part)
        time.sleep(share * stood[part])
        child.kill()
        fell.append((standing(root, place), part, share))
        assert len(left_over(root)) <= 1, "each process removes what the one before it left"
        if (place / MANIFEST).exists():
            assert contents(place) == usual.contents
            shutil.rmtree(place)
    judged = start(
        "judge", root=root, stages=["equimo" if what == "recording" else what], where=temporary
    )
    told = judged.go().result()
    assert told["holds"] and told["reused"][usual.path.parent.name] is False
    assert contents(place) == usual.contents
    assert Store(root).fetch(*THING, pytest.fail).path == beside.path
    assert (left_over(root), held(root)) == ([], [])
    outside = {path.name for path in temporary.iterdir()} - {"stderr", ".ses"}  # onnxruntime's
    assert not outside, "temporary files of libraries lie in the store, and go with it"
    print(f"\n{what}: {kills} kills, seed {SEED}, of a making of {sum(stood):.2f} s")
    for at, name in enumerate(STOOD):
        drawn = " ".join(
            f"{part}+{share:.2f}" for where, part, share in sorted(fell) if where == at
        )
        print(f"  {drawn.count('+'):3} {name} ({stood[at]:.3f} s): {drawn}")


@pytest.mark.parametrize("first", ["nothing", "damaged", "left"])
def test_a_kill_before_any_step_does_no_harm(start, tmp_path, first):
    """Every thing that a making does to the file system, with nothing in the artifact's place, with
    a damaged one, and with what a process left that was killed before."""
    told = start("steps", root=tmp_path, first=first).go().result()
    assert told["code"] == 0, "the last one was not killed"
    steps = {kill["step"].split()[0] for kill in told["kills"]}
    assert {"open", "os.mkdir", "os.rename", "os.rmdir", "fcntl.flock"} <= steps
    for kill in told["kills"]:
        assert kill["files"] == {"first.txt": True, "inner/second.txt": True}, kill["step"]
        assert kill["left"] == [] and kill["again"], kill["step"]
    # Once the new one is in its place it is used, and never before.
    places = [kill["reused"] for kill in told["kills"]]
    renamed = [kill["step"].startswith("os.rename") for kill in told["kills"]].index(True)
    assert places == [False] * (renamed + 1) + [True] * (len(places) - renamed - 1)
    print(f"\n{first}: {len(places)} kills, {places.count(False)} of them before it was in place")


def test_the_lock_of_a_killed_owner_blocks_nobody(start, tmp_path):
    owner = start("hold", root=tmp_path).go()
    assert owner.said() == "holding"
    assert len(held(tmp_path)) == 1
    waiting = start("thing", root=tmp_path).go()
    assert waiting.said() == "open", "while there is nothing to sweep yet"
    owner.kill()
    assert waiting.result()["reused"] == [False]
    assert (left_over(tmp_path), held(tmp_path)) == ([], [])


def test_a_living_owner_keeps_what_it_is_making(start, tmp_path):
    """Whoever opens the store meanwhile sweeps nothing of it."""
    owner = start("hold", root=tmp_path).go()
    assert owner.said() == "holding"
    before = left_over(tmp_path)
    Store(tmp_path).clear()
    assert left_over(tmp_path) == before != []
    owner.kill()
    Store(tmp_path)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("text", ["", "4711\nanother-host\n", "4711\n"])
def test_a_lock_file_from_elsewhere_blocks_nobody(tmp_path, text):
    store = Store(tmp_path / "here")
    name = store.fetch(*THING, write_thing).path.name
    there = Store(tmp_path / "there")
    file = there.root / "locks" / f"thing-{name}.lock"
    file.write_text(text)
    file.chmod(0o444)
    assert not there.fetch(*THING, write_thing).reused
    assert held(there.root) == []


def test_compiled_programs_that_were_cut_off_are_compiled_again(start, undisturbed):
    undisturbed.made("equimo")
    before = start("judge", root=undisturbed.root, stages=["equimo"]).go().result()
    programs = [path for path in (undisturbed.root / "compilations").rglob("*") if path.is_file()]
    assert programs
    for i, path in enumerate(programs):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if i % 2 else b"")
    after = start("judge", root=undisturbed.root, stages=["equimo"]).go().result()
    assert after["holds"] and after["ratios"] == before["ratios"]


# Crowded


def test_eight_that_ask_at_once_get_what_one_of_them_makes(start, undisturbed, tmp_path):
    """Of a stage and of the one it is made from; the makers wait until all eight have asked."""
    usual, noted = undisturbed.made("mapped"), tmp_path / "noted"
    order = {"root": tmp_path / "store", "what": "mapped", "noted": noted, "company": 8}
    children = [start("make", wait=False, **order) for _ in range(8)]
    for child in children:
        child.ready()
    for child in children:
        child.go()
    told = [child.result() for child in children]
    lines = noted.read_text().splitlines()
    assert sorted(lines) == ["asked"] * 8 + ["made equimo", "made mapped"]
    assert sorted(one["reused"]["mapped"] for one in told) == [False] + [True] * 7
    assert {one["path"] for one in told} == {told[0]["path"]}
    assert contents(Path(told[0]["path"])) == usual.contents
    assert (left_over(tmp_path / "store"), held(tmp_path / "store")) == ([], [])


def test_two_runs_in_one_cold_store_are_both_right(tmp_path):
    runs = {}
    for name in ("one", "other"):
        command = [sys.executable, "-m", "pytest", "-k", "vits16 and equimo and release"]
        command += [f"--store={tmp_path / 'store'}", f"--report-dir={tmp_path / name}"]
        runs[name] = subprocess.Popen(
            command, cwd=ROOT, env=undisposed(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    ratios, made = [], []
    for name, run in runs.items():
        out, _ = run.communicate(timeout=600)
        assert run.returncode == 0 and "compared 2 of 2" in out, out
        lines = (tmp_path / name / "measurements.jsonl").read_text().splitlines()
        ratios.append(sorted((m["tap"], m["ratio"]) for m in map(json.loads, lines)))
        header = json.loads((tmp_path / name / "run.json").read_text())
        made.append({(a["kind"], a["key"], a["made_in"]) for a in header["artifacts"]})
    assert ratios[0] == ratios[1] and len(ratios[0]) == 2
    assert made[0] == made[1] and len(made[0]) == 2, "either has what one of them made"
    assert (left_over(tmp_path / "store"), held(tmp_path / "store")) == ([], [])


# Starved of space


@pytest.mark.parametrize("what", WHATS)
def test_a_file_that_cannot_grow_is_told_and_leaves_nothing(start, undisturbed, tmp_path, what):
    """RLIMIT_FSIZE refuses, as a full disk does, at a byte of our choice: anywhere, without rights."""
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


# Starved of locks


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


# Starved of the folder


@pytest.fixture
def others_folder():
    """A folder that users other than root can reach, as pytest's own cannot be."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        yield place


@pytest.mark.parametrize("closed", [".", "artifacts/thing", "locks", "temporary"])
def test_a_folder_that_cannot_be_written_is_told(start, others_folder, closed):
    root = others_folder / "store"
    Store(root).fetch("thing", "vits16", {"code": "another"}, write_thing)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    (root / closed).chmod(0o555)
    if closed == ".":
        for path in root.iterdir():
            path.chmod(0o555)
    user = 0 if os.geteuid() else NOBODY  # whom the mode of a folder does not stop asks as another
    words = paragraph(start("thing", root=root, user=user).go().result())
    assert "Permission denied" in words and "--store DIR" in words
    assert left_over(root) == []


def test_a_store_that_was_removed_between_two_calls_is_made_anew(tmp_path):
    store = Store(tmp_path / "store")
    store.fetch(*THING, write_thing)
    shutil.rmtree(store.root)
    assert (store.clear(), list(store.artifacts())) == (0, [])
    assert not store.fetch(*THING, write_thing).reused
    assert store.fetch(*THING, pytest.fail).reused


def test_a_store_that_is_removed_during_a_making_is_told(tmp_path):
    store = Store(tmp_path / "store")

    def make(folder):
        shutil.rmtree(store.root)
        write_thing(folder)

    with pytest.raises(ParityError, match=r"was removed.*Run again") as caught:
        store.fetch(*THING, make)
    assert "\n" not in str(caught.value)
    assert not store.fetch(*THING, write_thing).reused


def test_a_store_that_is_removed_before_a_stage_is_opened_is_told(tmp_path):
    from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
    from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic

    pipe = Pipeline(SMALL, Synthetic(SMALL), Store(tmp_path / "store"))
    pipe.artifact("equimo")
    shutil.rmtree(pipe.store.root)
    with pytest.raises(ParityError, match=r"was removed.*Run again") as caught:
        pipe.stage("equimo")
    assert "\n" not in str(caught.value)


def test_a_file_that_took_the_stores_place_is_told(tmp_path):
    store = Store(tmp_path / "store")
    shutil.rmtree(store.root)
    store.root.write_text("mine")
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR") as caught:
        store.fetch(*THING, write_thing)
    assert "\n" not in str(caught.value)
    assert store.root.read_text() == "mine"


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "nothing yet"])
def test_a_link_leads_to_the_store(tmp_path, there):
    """Nothing yet: as of any other path, the folder is made."""
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    made = Store(tmp_path / "link").fetch(*THING, write_thing)
    assert made.path.is_relative_to(tmp_path / "elsewhere")
    assert (tmp_path / "link").is_symlink()
    assert Store(tmp_path / "elsewhere").fetch(*THING, pytest.fail).reused


def test_links_in_a_circle_are_told(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR"):
        Store(tmp_path / "one")


def test_a_home_that_nobody_has_is_told():
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR"):
        Store(Path("~no-such-user/store"))


def test_a_relative_store_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(Path("store"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.fetch(*THING, write_thing).path.is_relative_to(tmp_path / "store")


def test_an_artifact_that_was_moved_away_and_linked_is_used(tmp_path):
    """A damaged one behind a link is left where it is; its place is taken by a new one."""
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    moved = place.rename(tmp_path / "moved")
    place.symlink_to(moved)
    assert store.fetch(*THING, pytest.fail).reused
    (moved / "first.txt").write_text("c0ntent")
    assert not store.fetch(*THING, write_thing).reused
    assert not place.is_symlink() and (moved / "first.txt").read_text() == "c0ntent"


def test_clearing_follows_no_link(tmp_path):
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    moved = place.rename(tmp_path / "moved")
    place.symlink_to(moved)
    store.clear()
    assert not place.exists() and (moved / MANIFEST).exists()


@pytest.mark.parametrize("stands", ["a file", "a dangling link"])
def test_what_stands_in_an_artifacts_place_gives_way(tmp_path, stands):
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    shutil.rmtree(place)
    if stands == "a file":
        place.write_text("")
    else:
        place.symlink_to(tmp_path / "nothing")
    assert not store.fetch(*THING, write_thing).reused
    assert store.fetch(*THING, pytest.fail).reused


def test_a_store_on_two_disks_is_told(tmp_path):
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    import tempfile

    with tempfile.TemporaryDirectory(dir=other) as place:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "artifacts").symlink_to(place)
        with pytest.raises(ParityError, match=r"on two disks.*--store DIR"):
            Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["two  words it's “ö日本”", '"<b>&\\n $(touch x);*?[a]#%20'])
def test_a_store_of_any_name_holds_the_real_artifacts(start, undisturbed, tmp_path, name):
    usual, root = undisturbed.made("mapped"), tmp_path / name
    path = Path(start("make", root=root, what="mapped").go().result()["path"])
    assert path.is_relative_to(root)
    assert contents(path) == usual.contents
