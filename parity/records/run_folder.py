"""The files of a run: fragments from every process, merged into measurements.jsonl and run.json.

Each process appends its measurements to a fragment of its own while it runs and leaves its notes
(materializations, stages it opened) beside it when it ends; the controller merges them. A worker
that dies loses nothing that it had measured. A fragment's name begins with the id of its run, so
that runs which share a folder, or one that was killed there, are kept apart.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from dinov3_parity.parity.inputs.drawn import parse
from dinov3_parity.parity.records import lines
from dinov3_parity.parity.records.account import Account
from dinov3_parity.parity.records.measurement import FORMAT, Measurement
from dinov3_parity.parity.words import counted

MEASUREMENTS, RUN, FRAGMENTS = "measurements.jsonl", "run.json", "fragments"

#: How the names of fragments end.
RECORDS, DECLARED, _ACCOUNTS, _NOTES = ".jsonl", ".declared", ".accounts", ".json"

#: The property that tests of the suite's own layers have, and no others.
LAYER = "layer"

#: The property of a test in which a port itself failed, and what it says then.
PORT, FAILED_ITSELF = "port", "failed"

#: Distributions whose versions a reader of a result asks for, whatever the stages.
_ALWAYS = ("dinov3-parity", "numpy", "hypothesis", "pytest")


def new_folder(root: Path) -> Path:
    """A folder name for a run that starts now, under ``root``; not made yet."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder, count = root / stamp, 1
    while folder.exists():
        count += 1
        folder = root / f"{stamp}-{count}"
    return folder


def new_id() -> str:
    """A name for a run that no other has."""
    return uuid.uuid4().hex[:12]


def versions(names: Iterable[str] = ()) -> dict[str, str]:
    """Installed versions of the distributions that a result depends on: ``names`` are the stages'."""
    found = {}
    for name in dict.fromkeys((*_ALWAYS, *names)):
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
class RecordWriter:
    """Writes one process's share of a run; the folder appears with the first measurement."""

    folder: Path
    run: str
    worker: str

    @property
    def process(self) -> str:
        """How its fragments are called: by its run and by which process of the run it is."""
        return f"{self.run}.{self.worker}"

    def record(self, records: list[Measurement]) -> None:
        lines.write(self._fragment(RECORDS), records)

    def declare(self, contract: list[dict[str, Any]]) -> None:
        """Write down what the run is to compare, before it compares anything."""
        if contract:
            self._fragment(DECLARED).write_text(json.dumps(contract))

    def account(self, test: str, accounts: list[Account]) -> None:
        """What a test declared on each input it began, and what it compared."""
        if not accounts:
            return
        told = (
            json.dumps([test, str(one.drawn), one.declared, one.compared, one.failure, one.waived])
            + "\n"
            for one in accounts
        )
        with self._fragment(_ACCOUNTS).open("a") as stream:
            stream.writelines(told)

    def note(self, notes: dict[str, Any]) -> None:
        """Leave this process's notes for the controller."""
        _replace(self._fragment(_NOTES), json.dumps(notes))

    def _fragment(self, ending: str) -> Path:
        fragments = self.folder / FRAGMENTS
        fragments.mkdir(parents=True, exist_ok=True)
        return fragments / f"{self.process}{ending}"


def fragments(folder: Path, run: str, ending: str = "") -> list[Path]:
    """What the processes of one run left in a folder."""
    return sorted((folder / FRAGMENTS).glob(f"{run}.*{ending}"))


def merge(folder: Path, header: dict[str, Any]) -> bool:
    """Merge the fragments of the run that the header names; False, and no folder, when it measured
    nothing and ran no test of the suite's layers. What else lies in the folder is left alone."""
    own = header["id"]
    declared = any(fragments(folder, own, ending) for ending in (RECORDS, DECLARED))
    if not declared and not any(LAYER in test["properties"] for test in header["tests"]):
        _clear(folder, own)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{MEASUREMENTS}.new"
    with new.open("wb") as merged:
        for fragment in fragments(folder, own, RECORDS):
            _append(merged, fragment)
    os.replace(new, folder / MEASUREMENTS)
    told = gathered(folder, own)
    short = bool(told["contract"]["missing"])
    run = (
        {"format": FORMAT}
        | header
        | {
            "exit": FAILED if short and header["exit"] == OK else header["exit"],
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions() | header.get("versions", {}),
            "host": host(),
            **told,
        }
    )
    rewrite(folder, run)
    _clear(folder, own)
    return True


#: How a run can end, in pytest's words; there are more. One that fell short fails as a whole.
OK, FAILED = "ok", "tests failed"


def _append(merged: IO[bytes], fragment: Path) -> None:
    """Copy a fragment; a last line that its process did not finish stays a line of its own."""
    with fragment.open("rb") as stream:
        shutil.copyfileobj(stream, merged)
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read() != b"\n":
                merged.write(b"\n")


def _clear(folder: Path, run: str) -> None:
    for fragment in fragments(folder, run):
        fragment.unlink()
    with suppress(OSError):  # it is not there, or something else is in it
        (folder / FRAGMENTS).rmdir()


def rewrite(folder: Path, run: dict[str, Any]) -> None:
    """Write run.json."""
    _replace(folder / RUN, json.dumps(run, indent=1))


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: who reads it sees the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.replace(new, path)


def gathered(folder: Path, run: str) -> dict[str, Any]:
    """What the processes of a run noted, for run.json."""
    notes = [json.loads(path.read_text()) for path in fragments(folder, run, _NOTES)]
    return {
        "checkpoints": {k: v for note in notes for k, v in note["checkpoints"].items()},
        "stages": {name: told for note in notes for name, told in note["stages"].items()},
        "contract": fulfilment(folder, run),
        "failures": failures(folder, run),
        "costs": costs(notes),
        "artifacts": [artifact for note in notes for artifact in note["artifacts"]],
    }


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


def fulfilment(folder: Path, run: str) -> dict[str, Any]:
    """How much of what was declared was compared, and what was not: by test and input.

    What Hypothesis draws as it goes is declared when it is drawn, and counted in.
    """
    files = fragments(folder, run, DECLARED)
    tests = {told["test"]: told for file in files for told in json.loads(file.read_text())}
    declared = {(t, one): told["declared"] for t, told in tests.items() for one in told["inputs"]}
    compared: dict[tuple[str, str], int] = {}
    waived: dict[tuple[str, str], int] = {}
    for test, drawn, wanted, found, _, need_not in _accounts(folder, run):
        declared.setdefault((test, drawn), wanted)
        waived[test, drawn] = need_not
        compared[test, drawn] = max(found, compared.get((test, drawn), 0))
    declared = {at: n - waived.get(at, 0) for at, n in declared.items()}
    about = {
        test: {one: told.get(one, "") for one in ("variant", "stage")}
        for test, told in tests.items()
    }
    missing = [
        {"test": test, "input": drawn, "declared": n, "compared": compared.get((test, drawn), 0)}
        | about.get(test, {})
        for (test, drawn), n in declared.items()
        if compared.get((test, drawn), 0) < n
    ]
    return {
        "declared": sum(declared.values()),
        "compared": sum(declared.values()) - sum(m["declared"] - m["compared"] for m in missing),
        "inputs": len({drawn for _, drawn in declared}),
        "missing": missing,
    }


def failures(folder: Path, run: str) -> list[dict[str, str]]:
    """What each failed test said of the smallest input that it failed on."""
    told: dict[str, tuple] = {}
    for test, drawn, _, _, words, _ in _accounts(folder, run):
        one = parse(drawn)
        size = one.batch * one.grid[0] * one.grid[1]
        if words and (test not in told or size < told[test][0]):
            told[test] = size, drawn, words
    return [
        {"test": test, "input": drawn, "words": words} for test, (_, drawn, words) in told.items()
    ]


def _accounts(folder: Path, run: str) -> Iterator[list]:
    """(test, input, declared, compared, failure in words, waived) of every input of every process."""
    for file in fragments(folder, run, _ACCOUNTS):
        whole = file.read_text().splitlines(keepends=True)
        yield from (json.loads(line) for line in whole if line.endswith("\n"))


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
    more = f"; {counted(len(told) - 2, 'more test')}" if told[2:] else ""
    return [f"declared and not compared: {counted(count, 'tap')}: {'; '.join(told[:2])}{more}"]
