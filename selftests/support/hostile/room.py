"""The room in which a command is handed a hostile file and watched.

The room is on a variant so small that every real step takes a fraction of a second: the converters,
torch, equinox and onnxruntime are the real ones, as are the files. See ``selftests.hostile``.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.parity.families import VARIANTS

from selftests.support.hostile.archives import contents

#: One block of 128: a megabyte. It has the modules of vits16; the other adds those of the sat493m.
SMALL = replace(
    VARIANTS["vits16"], name="small", architecture="small", dim=128, heads=2, hidden=256, depth=1,
    hash_prefix="00000000",
)  # fmt: skip
SAT = replace(SMALL, name="small_sat", dataset="sat493m", local_cls_norm=True)

#: What an error must say to do: one of these words begins or is in its advice.
ADVICE = re.compile(
    r"\b([Ff]etch|Give|Make|Name|Say|Put|Select|Download|[Rr]ename|Try|Keep|Leave|Choose|Export|export|"
    r"Unpack|say which|Is it|Close|Ask|Was it)\b"
)


def known(patch) -> None:
    """Make both variants known to the commands, as if they had been released."""
    from dinov3_parity.fixtures.checkpoints import choice, release, shards
    from dinov3_parity.fixtures.cli import matrix, shared

    for module in (choice, release, matrix, shared):
        patch.setattr(module, "VARIANTS", {**VARIANTS, SMALL.name: SMALL, SAT.name: SAT})
    # Among safetensors it would be either's, for these leave local_cls_norm out.
    patch.setattr(shards, "VARIANTS", {**VARIANTS, SMALL.name: SMALL})


class Told(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@dataclass
class Good:
    """The sound files of every step, all in one folder."""

    folder: Path
    store: Path
    checkpoint: Mapping[str, np.ndarray]

    @property
    def pth(self) -> Path:
        return self.folder / "good.pth"

    @property
    def archive(self) -> Path:
        return self.folder / "good.tar.lz4"

    @cached_property
    def artifacts(self) -> list[Path]:
        """What the store held once they were made."""
        return [path for path in (self.store / "artifacts").rglob("*") if path.is_file()]

    @cached_property
    def weights(self) -> bytes:
        """Equimo's leaves of the archive."""
        return contents(self.archive)["weights.eqx"]

    @property
    def eqx(self) -> Path:
        return self.folder / "good.eqx"

    @property
    def onnx(self) -> Path:
        return self.folder / "good.onnx"

    @property
    def shards(self) -> Path:
        return self.folder / "hub" / "model.safetensors"


def seen(*paths: Path) -> dict[Path, tuple]:
    """Kind, size, content's identity and time of the last change."""
    found = {}
    for path in paths:
        if os.path.lexists(path):
            told = path.lstat()
            size = 0 if stat.S_ISDIR(told.st_mode) else told.st_size
            found[path] = told.st_mode, size, told.st_ino, told.st_mtime_ns
    return found


@dataclass
class Room:
    """Where one hostile file is tried. Only ``out`` may change.

    Home, temporary files and the working directory are folders of it, watched as all else is. A file
    that gets to run something is to leave ``canary``.
    """

    path: Path
    good: Good
    capture: object
    before: dict = field(default_factory=dict)

    @property
    def inputs(self) -> Path:
        return self.path / "in"

    @property
    def out(self) -> Path:
        return self.path / "out"

    @property
    def canary(self) -> Path:
        return self.path / "canary"

    @property
    def order(self) -> str:
        """A shell command that leaves the canary."""
        return f"touch {self.canary}"

    def told(self, *words: object, variant: str = SMALL.name) -> Told:
        """Run a command on a variant; what it said on its two streams, whoever wrote there."""
        self.capture.readouterr()
        with watched(self) as done, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            code = main([str(words[0]), "--variant", variant, *map(str, words[1:])])
        shown = self.capture.readouterr()
        assert code == 0 or not warned, [str(one.message) for one in warned]
        assert not done, f"it did what no file may ask for: {done}"
        return Told(code, shown.out, shown.err)

    def refused(self, *words: object, file: Path, says: str, variant: str = SMALL.name) -> str:
        """Run a command that must refuse a file, in one paragraph that names it, and change nothing."""
        self.look()
        told = self.told(*words, variant=variant)
        said = told.err.strip()
        assert told.code == 2, told
        paragraph(said, file)
        assert re.search(says, said), said
        assert not list(self.out.iterdir()), "a refusal leaves nothing"
        self.unchanged()
        return said

    def look(self) -> None:
        self.before = {}
        self.before = self._seen()

    def unchanged(self) -> None:
        now = self._seen()
        assert not self.canary.exists(), "code of the file's ran"
        assert now.keys() <= self.before.keys(), now.keys() - self.before.keys()
        changed = [path for path in self.before if now.get(path) != self.before[path]]
        assert not changed, changed
        left = [*self.good.store.glob("temporary/*"), *self.good.store.glob("unfinished/*")]
        assert not left, left

    def _seen(self) -> dict:
        """The room but for ``out``, the sound files, and the artifacts that these have in the store;
        what an inspection learns of a new file, its digest, is another one."""
        found = seen(*self.path.rglob("*"), *self.good.folder.rglob("*"), *self.good.artifacts)
        return {
            path: told
            for path, told in found.items()
            if path not in (self.out, self.path / "tmp") and self.out not in path.parents
        }


def paragraph(said: str, file: Path) -> None:
    """One paragraph to its reader, that names the file and says what to do."""
    assert said.startswith("dinov3-parity: "), said
    assert len(said.splitlines()) == 1 and said.isprintable(), ascii(said)
    assert "Traceback" not in said and "not through a fault of yours" not in said, said
    assert shown(file.name) in said, said
    assert ADVICE.search(said), said
    assert len(said) < 2000, len(said)


def shown(name: str) -> str:
    """A file's name as an error shows it: what is no letter of a line stands as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


#: Nothing of these may happen while a command reads a file; its own children are Python's.
_DEEDS = ("os.system", "os.exec", "os.posix_spawn", "pty.spawn", "socket.connect", "os.symlink",
          "os.link", "subprocess.Popen")  # fmt: skip
_armed: list[tuple[Room, list[str]]] = []


@contextmanager
def watched(room: Room) -> Iterator[list[str]]:
    """What was done meanwhile that no file may ask for: processes, links, files written elsewhere."""
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    done: list[str] = []
    _armed.append((room, done))
    try:
        yield done
    finally:
        _armed.pop()


_hooked: list[bool] = []


def _audit(event: str, arguments: tuple) -> None:
    if not _armed or (event != "open" and event not in _DEEDS):
        return
    room, done = _armed[-1]
    compiled = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", os.devnull))  # by JAX, for any run
    places = (room.out, room.path / "tmp", room.good.store, compiled, Path(os.devnull))
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes or not isinstance(path, str | bytes | os.PathLike):
            return
        path = Path(os.path.abspath(os.fsdecode(path)))
        if path.suffix == ".pyc" or "__pycache__" in path.parts:
            return  # what Python itself keeps of a module that it imports
    elif event in (
        "subprocess.Popen",
        "os.posix_spawn",
    ):  # Python 3.13 starts a child by the second
        if arguments[1][1:3] == ["-m", "dinov3_parity.parity.runtimes.isolated"]:
            return
        path = Path(os.fsdecode(arguments[0]))
    elif event in ("os.symlink", "os.link"):
        path = Path(os.path.abspath(os.fsdecode(arguments[1])))
    else:
        path = Path("/")
    if not any(path == place or place in path.parents for place in places):
        done.append(f"{event} {arguments}")
