"""What the children of ``selftests.machine`` do: each is a process that can be killed or starved.

A child imports what it needs, says "ready", waits for a line, does its part and says in one line of
JSON what came of it. A condition that its user must act on ends it with code 2 and one paragraph, as
the commands do.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS

#: A model as small as the real converters take it: 4 MB as an ``equimo`` artifact, half a second.
SMALL = replace(
    VARIANTS["vits16"], name="vits16 (3 blocks of 128)", dim=128, heads=2, hidden=256, depth=3
)

#: The small artifact that stands beside the real ones, and what is in it.
THING, TEXT = ("thing", "vits16", {"code": "1"}), "content " * 1000


def write_thing(folder: Path) -> None:
    (folder / "first.txt").write_text(TEXT)
    (folder / "inner").mkdir()
    (folder / "inner" / "second.txt").write_text(TEXT)


def _pipeline(store: Store):
    from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
    from dinov3_parity.fixtures.pipeline.pipeline import Pipeline

    return Pipeline(SMALL, Synthetic(SMALL), store)


def _settings(root: str) -> None:
    """What the suite sets before a framework is imported, without opening a store for it."""
    from dinov3_parity.fixtures.pipeline.pipeline import quiet_frameworks

    store = object.__new__(Store)
    store.root = Path(root)
    quiet_frameworks(store)


def _load(what: str) -> None:
    """Import what a stage's making needs, so that the making alone lies between go and result."""
    from dinov3_parity.fixtures.stages.registry import stages

    if what == "recording":
        import dinov3_parity.fixtures.stages.meta.vit  # noqa: F401
    while what in stages() and what != "meta":
        stages()[what].load(SMALL.family)
        what = stages()[what].parent


def _drawn():
    from dinov3_parity.parity.inputs.drawn import Input

    return Input(1, (2, 3), 0)


def _fetched(pipe, what: str) -> Path:
    """One of the real artifacts: a stage's, or the reference's recording of an input."""
    return pipe.recording(_drawn()).folder if what == "recording" else pipe.artifact(what).path


def make(root: str, what: str, noted: str = "", company: int = 0, size: int = 0) -> dict:
    """Fetch a stage's artifact, or the reference's recording of an input.

    ``noted`` is a file that tells of every making; a maker waits there for ``company`` processes to
    have asked. No file can grow beyond ``size`` bytes.
    """
    _settings(root)
    _load(what)
    if noted:
        _instrument(Path(noted), what, company)
    _ready()
    began = time.perf_counter()
    if size:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    store = Store(Path(root))
    if noted:
        _note(Path(noted), "asked")
    path = _fetched(_pipeline(store), what)
    seconds = time.perf_counter() - began
    return {"path": str(path), "reused": {a.kind: a.reused for a in store.log}, "seconds": seconds}


def _note(file: Path, word: str) -> None:
    with file.open("a") as stream:  # appended as a whole, whoever else appends
        stream.write(f"{word}\n")


def _instrument(file: Path, what: str, company: int) -> None:
    from dinov3_parity.fixtures.stages.registry import stages

    for name in ("equimo", "mapped"):
        if name == what or stages()[what].parent == name:
            module = stages()[name].load(SMALL.family)
            module.make = _counted(module.make, name, file, company)


def _counted(maker, name: str, file: Path, company: int):
    def counted(source, folder, *options):
        _note(file, f"made {name}")
        while file.read_text().split("\n").count("asked") < company:
            time.sleep(0.01)
        maker(source, folder, *options)

    return counted


def judge(root: str, stages: list[str]) -> dict:
    """What the suite says of stages in this store: every comparison's ratio, and whether all hold."""
    _settings(root)
    from dinov3_parity.fixtures.faults.trial import measured

    _ready()
    store = Store(Path(root))
    pipe = _pipeline(store)
    reference = pipe.recording(_drawn())
    found = {name: measured(pipe.stage(name), reference, pipe.places, name) for name in stages}
    return {
        "holds": all(m.passed for one in found.values() for m in one),
        "ratios": {name: [m.ratio for m in one] for name, one in found.items()},
        "reused": {a.kind: a.reused for a in store.log},
    }


def hold(root: str) -> dict:
    """Take an artifact's lock and never come to an end."""

    def endless(folder: Path) -> None:
        print(json.dumps("holding"), flush=True)
        time.sleep(3600)

    _ready()
    Store(Path(root)).fetch(*THING, endless)
    return {}


def thing(root: str, lock_error: int = 0, later: bool = False, user: int = 0) -> dict:
    """Open the store, say so, and fetch the small artifact.

    ``lock_error`` is what the file system answers who locks a file, ``later`` only once the store is
    open; ``user`` is who it is fetched as.
    """
    _ready()
    if user:
        os.seteuid(user)
    if lock_error and not later:
        _without_locks(lock_error)
    store = Store(Path(root))
    print(json.dumps("open"), flush=True)
    if lock_error:
        _without_locks(lock_error)
    path = store.fetch(*THING, write_thing).path
    return {"path": str(path), "reused": [a.reused for a in store.log]}


def _without_locks(number: int) -> None:
    import fcntl

    def flock(fd, operation):
        raise OSError(number, os.strerror(number))

    fcntl.flock = flock


#: What a process does to a file system, as Python tells of it.
_STEPS = (
    "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.utime",
    "fcntl.flock",
)  # fmt: skip


def steps(root: str, first: str) -> dict:
    """Kill the making of the small artifact before each thing that it does to the file system.

    It begins with ``first`` in its place: nothing, a damaged artifact, or what a killed process left.
    Of each kill: before which step, what a run after it got, what it left.
    """
    _ready()
    told = []
    while True:
        place = Path(root) / f"{first}-{len(told)}"
        _begin(place, first)
        child = os.fork()
        if not child:
            _die_before(len(told) + 1, place)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return {"kills": told, "code": os.waitstatus_to_exitcode(status)}
        step = (place / "step").read_text()
        intact = [path for _, path, _ in Store.artifacts(_unopened(place))]
        store = Store(place / "store")
        artifact = store.fetch(*THING, write_thing)
        told.append(
            {
                "step": step,
                "in place": bool(intact),
                "reused": artifact.reused,
                "files": {
                    str(p.relative_to(artifact.path)): p.read_text() == TEXT
                    for p in sorted(artifact.path.rglob("*.txt"))
                },
                "left": [p.name for p in (store.root / "temporary").iterdir()],
                "again": store.fetch(*THING, write_thing).reused,
            }
        )


def _unopened(place: Path) -> Store:
    store = object.__new__(Store)
    store.root = place / "store"
    return store


def _begin(place: Path, first: str) -> None:
    place.mkdir()
    if first == "nothing":
        return
    store = Store(place / "store")
    made = store.fetch(*THING, write_thing).path
    if first == "damaged":
        (made / "first.txt").write_text("c0ntent")
    else:
        left = store.root / "temporary" / f"thing-{made.name}~abc"
        made.rename(left)


def _die_before(number: int, place: Path) -> None:
    """Make the artifact in this process and kill it before its step of that number."""
    done, file = 0, os.open(place / "step", os.O_CREAT | os.O_WRONLY)

    def watch(event: str, arguments: tuple) -> None:
        nonlocal done
        if event in _STEPS:
            done += 1
            if done == number:
                os.write(file, f"{event} {arguments[0]}".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    code = 1
    try:
        Store(place / "store").fetch(*THING, write_thing)
        code = 0
    finally:
        os._exit(code)


def _ready() -> None:
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    try:
        result = globals()[sys.argv[1]](**json.loads(sys.argv[2]))
    except ParityError as error:
        print(json.dumps({"refused": str(error)}), flush=True)
        sys.exit(2)
    print(json.dumps(result), flush=True)
