"""One onnxruntime session in a process of its own, so that nothing it does ends the run.

On Linux a runner imports onnxruntime once and forks a child for every session; elsewhere, where there is
no fork, or what system libraries hold does not outlive one, each session starts a program. What a child
says is read from its files, never from its memory.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

#: What a session is run on: images alone, or arrays by the names of the file's inputs.
Feed = np.ndarray | Mapping[str, np.ndarray]

_PHASE, _ERROR = "phase", "error.json"

_ALIGNED = 64


@dataclass(frozen=True)
class Outcome:
    """What became of a session: how it ended, in which phase, what it returned or said.

    ``end`` is "done", "error" (a Python exception), "signal", "timeout" or "exit"; ``arrays`` hold
    the outputs of every input in turn.
    """

    end: str
    phase: str
    words: str = ""
    kind: str = ""
    arrays: tuple[dict[str, np.ndarray], ...] = ()
    seconds: float = 0.0


@dataclass
class ChildRunner:
    """Runs sessions, one after the other. ``memory`` bounds a child's address space, in bytes.

    Where it ``holds`` a number of sessions, one child runs them all, and they stay open, the latest of
    them, for the next inputs; what one does then ends them all.
    """

    timeout: float = 120.0
    memory: int = 16 << 30
    holds: int = 0
    _process: subprocess.Popen | None = field(default=None, repr=False)

    def run(
        self, model: Path, feeds: Sequence[Feed], level: str, threads: int, input_name: str = ""
    ) -> Outcome:
        """Open a session on a file and run it on each input, images alone or arrays by the names of the
        file's inputs; ``threads`` 0 is onnxruntime's choice."""
        with tempfile.TemporaryDirectory(prefix="cell-") as folder:
            for number, feed in enumerate(feeds):
                _leave_arrays(Path(folder) / f"in-{number}", _named(feed, input_name))
            spec = {
                "model": str(model), "level": level, "threads": threads, "folder": folder,
                "feeds": len(feeds), "timeout": self.timeout, "memory": self.memory,
                "holds": self.holds,
            }  # fmt: skip
            started = time.perf_counter()
            end = self._asked(spec)
            return _told(Path(folder), end, len(feeds), time.perf_counter() - started)

    def _asked(self, spec: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=_environment(),
            )  # fmt: skip
        try:
            told, heard = self._pipes()
            told.write(json.dumps(spec) + "\n")
            told.flush()
            if self.holds and not select.select([heard], [], [], self.timeout)[0]:
                self._process.kill()
                self._process.wait()
                return {"end": "timeout", "code": self.timeout}
            answer = heard.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:  # the runner itself died: onnxruntime does not even import
            code = self._process.wait()
            return {"end": "signal" if code < 0 else "exit", "code": abs(code)}
        return json.loads(answer)

    def close(self) -> None:
        if self._process:
            told, heard = self._pipes()
            told.close()
            self._process.wait()
            heard.close()
            self._process = None

    def _pipes(self) -> tuple[Any, Any]:
        """The child's input and output."""
        assert self._process
        return self._process.stdin, self._process.stdout


def _named(feed: Feed, input_name: str) -> Mapping[str, np.ndarray]:
    return feed if isinstance(feed, Mapping) else {input_name: feed}


def _leave_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """The names, which may be no names of files, then the arrays, each as ``.npy`` has it."""
    with file.open("wb") as to:
        for one in (np.array(list(arrays), str), *map(np.asarray, arrays.values())):
            to.write(bytes(-to.tell() % _ALIGNED))
            plain = one.astype(str) if one.dtype.hasobject else one
            npy.write_array(to, plain, allow_pickle=False)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """What was left, where it lies: what nobody looks at is never read. Changes stay in memory. Raises
    ValueError for texts."""
    with file.open("rb") as left:
        held = mmap.mmap(left.fileno(), 0, access=mmap.ACCESS_COPY)
        names = _next(left, held)
        found = {str(name): _next(left, held) for name in names}
    if texts := [name for name, one in found.items() if one.dtype.kind == "U"]:
        raise ValueError(f"{texts[0]} holds texts")
    return found


def _next(left: BinaryIO, held: mmap.mmap) -> np.ndarray:
    left.seek(-left.tell() % _ALIGNED, os.SEEK_CUR)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, by_columns, dtype = header[npy.read_magic(left)](left)
    made = np.ndarray(shape, dtype, held, left.tell(), order="F" if by_columns else "C")
    left.seek(made.nbytes, os.SEEK_CUR)
    return made


def _told(folder: Path, end: dict[str, Any], feeds: int, seconds: float) -> Outcome:
    """What a child left in its folder."""
    phase_file = folder / _PHASE
    phase = phase_file.read_text() if phase_file.exists() else "importing"
    if (folder / _ERROR).exists():
        error = json.loads((folder / _ERROR).read_text())
        return Outcome("error", phase, error["words"], error["kind"], seconds=seconds)
    if end["end"] == "signal":
        return Outcome("signal", phase, signal.Signals(end["code"]).name, seconds=seconds)
    if end["end"] != "done" or phase != "done":
        return Outcome(end["end"], phase, str(end.get("code", "")), seconds=seconds)
    arrays = []
    for number in range(feeds):
        arrays.append(_arrays(folder / f"out-{number}"))
    return Outcome("done", phase, arrays=tuple(arrays), seconds=seconds)


def session(spec: dict[str, Any]) -> None:
    """The child: open a session, run it, leave what it returned, or what it raised."""
    import onnxruntime

    folder = Path(spec["folder"])
    phase = lambda word: (folder / _PHASE).write_text(word)
    try:
        phase("loading")
        options = onnxruntime.SessionOptions()
        level = LEVELS[spec["level"]]
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.intra_op_num_threads = spec["threads"]
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if spec["holds"]:  # an arena keeps what a session's largest input needed
            options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        opened = _OPENED.get(spec["model"]) or onnxruntime.InferenceSession(
            spec["model"], options, providers=["CPUExecutionProvider"]
        )
        _hold(spec, opened)
        names = [output.name for output in opened.get_outputs()]
        first = opened.get_inputs()[0].name
        phase("running")
        for number in range(spec["feeds"]):
            given = {name or first: x for name, x in _arrays(folder / f"in-{number}").items()}
            shown = opened.run(names, given)
            _leave_arrays(folder / f"out-{number}", dict(zip(names, shown, strict=True)))
        phase("done")
    except MemoryError:
        _leave(folder, "MemoryError", "out of memory")
    except Exception as error:
        _leave(folder, type(error).__name__, str(error))


#: Sessions that a child holds, by their files, the one last used at the end.
_OPENED: dict[str, Any] = {}


def _hold(spec: dict[str, Any], opened: Any) -> None:
    if spec.get("holds"):
        _OPENED.pop(spec["model"], None)
        _OPENED[spec["model"]] = opened
        while len(_OPENED) > spec["holds"]:
            del _OPENED[next(iter(_OPENED))]


def _held(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a session here, in the one child of all."""
    _bound(spec["memory"])
    session(spec)
    return {"end": "done"}


def _leave(folder: Path, kind: str, words: str) -> None:
    if "bad_alloc" in words or "Failed to allocate memory" in words:
        kind = "MemoryError"
    (folder / _ERROR).write_text(json.dumps({"kind": kind, "words": words}))


def _bound(memory: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # not on this system: the machine's own bounds hold
        pass


def _forked(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a session in a forked child; how the child ended."""
    child = os.fork()
    if child == 0:
        _bound(spec["memory"])
        session(spec)
        os._exit(0)
    deadline = time.monotonic() + spec["timeout"]
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"end": "timeout", "code": spec["timeout"]}
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    return _ended(code)


def way() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How a session is run here. macOS has ``os.fork``, too; a child of it that uses onnxruntime may be
    ended by the system, which would read as a crash of the file's."""
    return _forked if sys.platform == "linux" else _started


def _environment() -> dict[str, str]:
    """This process's, where a child finds the modules that it found: it may know them by pytest alone."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _started(spec: dict[str, Any]) -> dict[str, Any]:
    """The same by a program of its own."""
    command = [sys.executable, "-m", __spec__.name, json.dumps(spec)]
    try:
        code = subprocess.run(command, timeout=spec["timeout"], env=_environment()).returncode
    except subprocess.TimeoutExpired:
        return {"end": "timeout", "code": spec["timeout"]}
    return _ended(code)


def _ended(code: int) -> dict[str, Any]:
    if code < 0:
        return {"end": "signal", "code": -code}
    return {"end": "done" if code == 0 else "exit", "code": code}


def main() -> None:
    if sys.argv[1:]:
        spec = json.loads(sys.argv[1])
        _bound(spec["memory"])
        session(spec)
        return
    import onnxruntime  # noqa: F401 (once, for all children)

    answers = os.fdopen(os.dup(1), "w")  # whatever onnxruntime prints is no answer
    os.dup2(2, 1)
    run = way()
    for line in sys.stdin:
        spec = json.loads(line)
        print(json.dumps((_held if spec["holds"] else run)(spec)), file=answers, flush=True)


if __name__ == "__main__":
    main()
