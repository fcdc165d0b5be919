"""``dinov3-parity check`` in a process of its own, in a folder that is nobody's checkout."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
from dinov3_parity.parity.records import schema

from selftests.conftest import ROOT
from selftests.support.processes import environment
from selftests.support.records.json_schema import wrong

SCHEMA = json.loads((ROOT / schema.FOLDER / "verdict.json").read_text("utf-8"))


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def told(self):
        """The verdict on standard output, which is of the published shape."""
        told = json.loads(self.out)
        assert wrong(told, SCHEMA) == []
        assert told["exit"] == self.code
        return told


@pytest.fixture
def ran(tmp_path, store):
    """Run the command in a folder that is nobody's checkout."""
    here = tmp_path / "here"
    here.mkdir()

    def run(*words, folder=here):
        if folder == here:
            words = ("--report-dir", "r", *words)
        known = environment() | {"DINOV3_PARITY_STORE": str(store.root)}
        path = str(ROOT / "fixtures" / "package")
        done = subprocess.run(
            [sys.executable, "-m", "dinov3_parity.fixtures.cli.main", "check", *words], cwd=folder,
            env=known | {"PYTHONPATH": path}, text=True, timeout=300, capture_output=True,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    run.here = here
    return run
