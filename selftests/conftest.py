"""What the suite's own tests share: the vits16 pipeline on the user's store, and pytest as a child."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.pytest_plugin.session import SESSION
from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.parity.variants import VARIANTS

ROOT = Path(__file__).parent.parent


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


@pytest.fixture
def run_pytest(store, tmp_path):
    """Run the suite in a process of its own; where its report goes is ``tmp_path / "report"``."""

    def run(
        *words: str, store: Path = store.root, program: tuple[str, ...] = ("-m", "pytest")
    ) -> Ran:
        command = [sys.executable, *program, *words]
        command += [f"--store={store}", f"--report-dir={tmp_path / 'report'}"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, text=True, timeout=600,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout)

    return run
