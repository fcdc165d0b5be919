"""Tests run in a fork: with a mistake in one module of the suite, or with a note of the lines they reach.

Nothing of the suite is imported here, so that each fork imports its own; what it needs of other packages
is here already. No file of the checkout is written: the wrong module is put in its place as it is
imported. A mutant has a store to itself, of links to what is in the one there is: what it makes is wrong
under a right name.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import accumulate
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]

#: Packages that are each fork's own: the suite, what does not bear a fork, what pytest rewrites.
_OWN = ("dinov3_parity", "selftests", "conftest", "jax", "jaxlib", "equimo", "jax2onnx", "__main__")

#: What is run as a module is imported, by no test of its own.
IMPORT = "import"

_QUIETLY = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short")


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Reach:
    """A plugin of pytest that notes which lines of some files each test reaches, and how long it takes.

    What a fixture of more than one test reaches is reached by each that asks for it, and what is
    reached before the first test by none: those lines are run as a module is imported.
    """

    files: frozenset[str]
    at: str = ""
    lines: dict[str, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    asks: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    store: str = ""

    def trace(self, frame: Any, event: str, arg: Any) -> Any:
        """For ``sys.settrace``."""
        if frame.f_code.co_filename not in self.files:
            return None
        function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # neither a module nor a class
        at = self.at if function and self.at else IMPORT
        self.lines[at].add((frame.f_code.co_filename, frame.f_lineno))
        return self.trace

    def pytest_runtest_setup(self, item: Any) -> None:
        self.at = item.nodeid
        self.asks[item.nodeid] = list(getattr(item, "fixturenames", ()))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.at = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any):
        before = self.at
        if fixturedef.scope != "function":
            self.at = f"fixture {fixturedef.argname}"
        try:
            return (yield)
        finally:
            self.at = before

    def pytest_sessionfinish(self, session: Any) -> None:
        sys.settrace(None)
        from dinov3_parity.fixtures.pytest_plugin.session import SESSION

        self.store = str(session.config.stash[SESSION].store.root)

    def told(self) -> dict[str, Any]:
        found = {}
        for test, asks in self.asks.items():
            lines = self.lines[test].union(*(self.lines[f"fixture {name}"] for name in asks))
            found[test] = sorted(lines)
        modules = [
            name
            for name, module in sys.modules.items()
            if name.partition(".")[0] not in _OWN
            and getattr(getattr(module, "__spec__", None), "origin", None)
        ]
        return {
            "lines": found | {IMPORT: sorted(self.lines[IMPORT])}, "seconds": self.seconds,
            "failed": self.failed, "store": self.store, "modules": modules,
        }  # fmt: skip


class _Replaced(MetaPathFinder):
    """Imports one file of the suite as other code."""

    def __init__(self, path: Path, code: CodeType):
        self.path, self.code = path, code
        self.name = ".".join(("dinov3_parity", *path.relative_to(ROOT).with_suffix("").parts))

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        loader = SourceFileLoader(fullname, str(self.path))
        loader.get_code = lambda fullname: self.code  # type: ignore[method-assign]
        return spec_from_file_location(fullname, self.path, loader=loader)


def _forked(work: Callable[[], Any], limit: int) -> Any:
    """What some work gives, done in a fork; None where it took longer, or the fork died."""
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if not child:
            signal.alarm(limit)  # its default is to end the process
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in () if os.environ.get("MUTATION_SHOWS") else (0, 1, 2):
                os.dup2(silent, stream)
            code = 1
            try:
                json.dump(work(), told)
                told.flush()
                code = 0
            except BaseException:
                if os.environ.get("MUTATION_SHOWS"):
                    import traceback

                    traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        told.seek(0)
        return json.load(told) if status == 0 else None


def reached(tests: Sequence[str], files: Iterable[Path]) -> dict[str, Any]:
    """What tests reach of some files, and what they take, where nothing is wrong."""

    def work() -> Any:
        seen = Reach(frozenset(map(str, files)))
        sys.settrace(seen.trace)
        with tempfile.TemporaryDirectory() as report:
            pytest.main(
                [*tests, *_QUIETLY[1:], f"--report-dir={report}", "-m", "not thorough"],
                plugins=[seen],
            )
        return seen.told()

    found = _forked(work, 1800)
    if found is None:
        raise SystemExit("the tests could not be run without a mutant")
    return found


def prepare(modules: Iterable[str]) -> None:
    """Import what forks would, each by itself."""
    for name in modules:
        with suppress(Exception), _hushed():
            importlib.import_module(name)


@contextmanager
def _hushed() -> Iterator[None]:
    kept = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = io.StringIO()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


@dataclass(eq=False)
class _First:
    """A plugin of pytest that keeps the first test that fails."""

    failed: str = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or f"{report.nodeid} as it is imported"


@dataclass(frozen=True)
class Outcome:
    """Whether tests killed a mutant, the first that did, and how long it took."""

    killed: bool
    by: str
    seconds: float


def tried(
    path: Path, code: Callable[[], CodeType], tests: Sequence[str], store: str, limit: int
) -> Outcome:
    """Tests run with other code in the place of a module."""
    begun = time.monotonic()
    folder = tempfile.mkdtemp(prefix="mutant-", dir=Path(store).parent if store else None)
    own = {"--store": f"{folder}/store", "--report-dir": f"{folder}/report"}

    def work() -> Any:
        settings.register_profile(
            "first", settings.default, phases=(Phase.explicit, Phase.generate), database=None
        )
        settings.load_profile("first")
        if store:
            shutil.copytree(store, own["--store"], copy_function=os.link)
        sys.meta_path.insert(0, _Replaced(path, code()))
        seen = _First()
        options = [f"{name}={value}" for name, value in own.items()]
        status = pytest.main([*tests, *_QUIETLY, *options, "--hypothesis-seed=0"], plugins=[seen])
        return [int(status), seen.failed]

    try:
        told = _forked(work, limit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    status, by = told or (1, "it takes too long, or ends the process")
    return Outcome(status != 0, by or "it cannot be imported", time.monotonic() - begun)


def those_that_reach(
    found: Mapping[str, Any],
    path: Path,
    lines: tuple[int, int],
    about: Sequence[str],
    enough: float,
) -> list[str]:
    """The tests ``about`` a module that reach a statement, the quickest first, as far as ``enough``
    seconds go, but one at least; of a statement that runs as its module is imported those that reach the
    module, and then the others."""
    file, seconds = str(path), found["seconds"]
    at = {
        test: [line for there, line in reached if there == file]
        for test, reached in found["lines"].items()
        if test == IMPORT or test.startswith(tuple(about))
    }
    tests = {test for test, some in at.items() if any(lines[0] <= n <= lines[1] for n in some)}
    own = tests
    if IMPORT in tests:
        tests = set(at) - {IMPORT}
        own = {test for test in tests if at[test]}
    ordered = sorted(tests, key=lambda test: (test not in own, seconds[test]))
    summed = list(accumulate(seconds[test] for test in ordered))
    return ordered[: max(1, bisect(summed, enough))]
