"""The files of a run: fragments from every process, merged into measurements.jsonl and run.json.

Each process appends its measurements to a fragment of its own while it runs and leaves its notes
(materializations, stages it opened) beside it when it ends; the controller merges them. A worker
that dies loses nothing that it had measured.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parity import measurements
from parity.measurements import Measurement

MEASUREMENTS, RUN, FRAGMENTS = "measurements.jsonl", "run.json", "fragments"

#: Distributions whose versions a reader of a result asks for.
_TOLD = (
    "dinov3-parity", "numpy", "torch", "jax", "jaxlib", "equinox", "equimo", "jax2onnx", "onnx",
    "onnx-ir", "onnxruntime", "transformers", "hypothesis", "pytest",
)  # fmt: skip


def new_folder(root: Path) -> Path:
    """A folder name for a run that starts now, under ``root``; not made yet."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder, count = root / stamp, 1
    while folder.exists():
        count += 1
        folder = root / f"{stamp}-{count}"
    return folder


def versions() -> dict[str, str]:
    """Installed versions of the distributions that a result depends on."""
    found = {}
    for name in _TOLD:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


@dataclass
class Scribe:
    """Writes one process's share of a run; the folder appears with the first measurement."""

    folder: Path
    process: str

    def begin(self) -> None:
        """Clear what a run that was killed may have left in the same folder; for the controller."""
        shutil.rmtree(self._fragments, ignore_errors=True)

    def record(self, records: list[Measurement]) -> None:
        self._fragments.mkdir(parents=True, exist_ok=True)
        measurements.write(self._fragments / f"{self.process}.jsonl", records)

    def note(self, notes: dict[str, Any]) -> None:
        """Leave this process's notes for the controller."""
        if self._fragments.exists():
            (self._fragments / f"{self.process}.json").write_text(json.dumps(notes))

    @property
    def _fragments(self) -> Path:
        return self.folder / FRAGMENTS


def merge(folder: Path, header: dict[str, Any]) -> bool:
    """Merge the fragments of a run; False, and no folder, when nothing was measured."""
    fragments = folder / FRAGMENTS
    if not fragments.exists():
        return False
    with (folder / MEASUREMENTS).open("wb") as merged:
        for fragment in sorted(fragments.glob("*.jsonl")):
            with fragment.open("rb") as stream:
                shutil.copyfileobj(stream, merged)
    notes = [json.loads(path.read_text()) for path in sorted(fragments.glob("*.json"))]
    stages = {name: told for note in notes for name, told in note["stages"].items()}
    made = [artifact for note in notes for artifact in note["artifacts"]]
    run = header | {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "host": host(),
        "checkpoints": {k: v for note in notes for k, v in note["checkpoints"].items()},
        "stages": stages,
        "artifacts": made,
    }
    (folder / RUN).write_text(json.dumps(run, indent=1))
    shutil.rmtree(fragments)
    return True


def read(folder: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """run.json and the measurements of a finished run."""
    run = json.loads((folder / RUN).read_text())
    return run, list(measurements.read(folder / MEASUREMENTS))
