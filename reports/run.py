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
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parity import measurements
from parity.gauge import Account
from parity.inputs import parse
from parity.measurements import Measurement

MEASUREMENTS, RUN, FRAGMENTS = "measurements.jsonl", "run.json", "fragments"
_DECLARED, _ACCOUNTS = "declared", ".accounts"

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

    def declare(self, contract: list[dict[str, Any]]) -> None:
        """Write down what the run is to compare, before it compares anything."""
        if contract:
            self._fragments.mkdir(parents=True, exist_ok=True)
            (self._fragments / _DECLARED).write_text(json.dumps(contract))

    def account(self, test: str, accounts: list[Account]) -> None:
        """What a test declared on each input it began, and what it compared."""
        lines = (
            json.dumps([test, str(one.drawn), one.declared, one.compared, one.failure]) + "\n"
            for one in accounts
        )
        with (self._fragments / f"{self.process}{_ACCOUNTS}").open("a") as stream:
            stream.writelines(lines)

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
    if not any((*fragments.glob("*.jsonl"), *fragments.glob(_DECLARED))):
        shutil.rmtree(fragments, ignore_errors=True)
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
        "contract": fulfilment(fragments),
        "failures": failures(fragments),
        "costs": costs(notes),
        "artifacts": made,
    }
    rewrite(folder, run)
    shutil.rmtree(fragments)
    return True


def rewrite(folder: Path, run: dict[str, Any]) -> None:
    """Write run.json."""
    (folder / RUN).write_text(json.dumps(run, indent=1))


def costs(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """What each variant took: seconds by stage and place, summed over processes, and the peak of
    resident memory of the process that had the largest."""
    merged: dict[str, Any] = {}
    for note in notes:
        for name, told in note["costs"].items():
            own = merged.setdefault(name, {"peak_resident_bytes": 0, "seconds": {}})
            peak = max(own["peak_resident_bytes"], told["peak_resident_bytes"])
            own["peak_resident_bytes"] = peak
            for who, places in told["seconds"].items():
                summed = own["seconds"].setdefault(who, {})
                for place, seconds in places.items():
                    summed[place] = round(summed.get(place, 0) + seconds, 4)
    return merged


def fulfilment(fragments: Path) -> dict[str, Any]:
    """How much of what was declared was compared, and what was not: by test and input.

    What Hypothesis draws as it goes is declared when it is drawn, and counted in.
    """
    file = fragments / _DECLARED
    tests = {told["test"]: told for told in json.loads(file.read_text())} if file.exists() else {}
    declared = {(t, one): told["declared"] for t, told in tests.items() for one in told["inputs"]}
    compared: dict[tuple[str, str], int] = {}
    for test, drawn, wanted, found, _ in _accounts(fragments):
        declared.setdefault((test, drawn), wanted)
        compared[test, drawn] = max(found, compared.get((test, drawn), 0))
    missing = [
        {"test": test, "input": drawn, "declared": n, "compared": compared.get((test, drawn), 0)}
        for (test, drawn), n in declared.items()
        if compared.get((test, drawn), 0) < n
    ]
    return {
        "declared": sum(declared.values()),
        "compared": sum(declared.values()) - sum(m["declared"] - m["compared"] for m in missing),
        "inputs": len({drawn for _, drawn in declared}),
        "missing": missing,
    }


def failures(fragments: Path) -> list[dict[str, str]]:
    """What each failed test said of the smallest input that it failed on."""
    told: dict[str, tuple] = {}
    for test, drawn, _, _, words in _accounts(fragments):
        one = parse(drawn)
        size = one.batch * one.grid[0] * one.grid[1]
        if words and (test not in told or size < told[test][0]):
            told[test] = size, drawn, words
    return [
        {"test": test, "input": drawn, "words": words} for test, (_, drawn, words) in told.items()
    ]


def _accounts(fragments: Path) -> Iterator[list]:
    """(test, input, declared, compared, failure in words) of every input of every process."""
    for file in sorted(fragments.glob(f"*{_ACCOUNTS}")):
        yield from map(json.loads, file.read_text().splitlines())


def read(folder: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """run.json and the measurements of a finished run."""
    run = json.loads((folder / RUN).read_text())
    return run, list(measurements.read(folder / MEASUREMENTS))


def missing(run: dict[str, Any]) -> list[str]:
    """What was declared and not compared, in a line; none when all was."""
    gaps = run["contract"]["missing"]
    if not gaps:
        return []
    count = sum(gap["declared"] - gap["compared"] for gap in gaps)
    by_test: dict[str, list[str]] = {}
    for gap in gaps:
        by_test.setdefault(gap["test"].split("::")[-1], []).append(gap["input"])
    told = [
        f"{test} on {inputs[0]}" + (f" and {len(inputs) - 1} more" if inputs[1:] else "")
        for test, inputs in by_test.items()
    ]
    more = f"; {len(told) - 2} more tests" if told[2:] else ""
    return [f"declared and not compared: {count:,} taps: {'; '.join(told[:2])}{more}"]
