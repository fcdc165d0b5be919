"""What the suite's own tests share: the vits16 pipeline on the user's store, and pytest as a child."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.pytest_plugin.session import SESSION
from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.parity.families import VARIANTS

from selftests.support.processes import environment

ROOT = Path(__file__).parent.parent

#: Folders whose tests run in one worker: what they share is made once, not once a worker, and the
#: children of ``machine`` are no crowd but where they are meant to be.
TOGETHER = ("hostile", "machine", "matrix", "workflow")


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.parent.name in TOGETHER:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.name))


@pytest.fixture(scope="session")
def store(request) -> Store:
    """The store of this session: artifacts that the main job made are reused."""
    return request.config.stash[SESSION].store


@pytest.fixture(scope="session")
def vits16(store) -> Pipeline:
    variant = VARIANTS["vits16"]
    return Pipeline(variant, Synthetic(variant), store)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str = ""  # where it is asked for apart


@pytest.fixture
def run_pytest(store, tmp_path):
    """Run the suite in a process of its own; where its report goes is ``tmp_path / "report"``."""

    def run(
        *words: str,
        store: Path = store.root,
        program: tuple[str, ...] = ("-m", "pytest"),
        apart=False,
    ) -> Ran:
        command = [sys.executable, *program, *words]
        command += [f"--store={store}", f"--report-dir={tmp_path / 'report'}"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), text=True, timeout=600,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr or "")

    return run


@pytest.fixture
def run_python():
    """What a program prints, run in a process of its own."""

    def run(program: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout

    return run
