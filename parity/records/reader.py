"""Reading back what runs left in their report folders: one of them, or several as one.

A folder may be damaged: its run was killed, the disk was full, someone edited a file. What is
there is read, and what is not is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.records import lines, older
from dinov3_parity.parity.records.divergence import BY_NAME, CHECK, PYTEST
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.measurement import FORMAT, Measurement
from dinov3_parity.parity.records.run_folder import (
    DECLARED,
    FAILED,
    FRAGMENTS,
    MEASUREMENTS,
    OK,
    RECORDS,
    RUN,
    costs,
    fragments,
    gathered,
)
from dinov3_parity.parity.words import counted


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it: run.json with every key a reader may rely on (see
    ``parity.records.header``), its measurements, and in a sentence each what of it is lost."""

    folder: Path
    header: dict[str, Any]
    found: list[Measurement]
    lost: list[str]


def read(folder: Path) -> Run:
    """The run that left a folder, finished or killed.

    Raises ParityError where there is no such folder, or nothing of a run in it.
    """
    killed = _unmerged(folder)
    if (folder / MEASUREMENTS).is_file():
        told, lost = _told(folder / RUN)
        if killed and _written(folder, killed) > (folder / MEASUREMENTS).stat().st_mtime:
            lost.append(
                f"A later run in this folder ({killed}) did not end, or has not yet: what it "
                f"measured is in {FRAGMENTS}/ and not here."
            )
        return _run(folder, told, lost, [folder / MEASUREMENTS])
    if killed:
        told, lost = _noted(folder, killed)
        return _run(folder, told, lost, fragments(folder, killed, RECORDS))
    if (folder / RUN).is_file():
        told, lost = _told(folder / RUN)
        lost.append(f"{MEASUREMENTS} is missing: no comparison of the run is here.")
        return _run(folder, told, lost, [])
    what = "holds nothing of a run" if folder.is_dir() else "is not a folder"
    raise ParityError(
        f"{folder} {what}. Name the folder of a report, as a run's last line and its --report-dir "
        f"do: {MEASUREMENTS} and {RUN} are in it, or {FRAGMENTS}/ where the run was killed."
    )


def _run(folder: Path, told: dict[str, Any], lost: list[str], files: Iterable[Path]) -> Run:
    header, wrong = filled(told)
    if wrong:
        lost.append(f"{RUN} is of another shape at {', '.join(wrong)}: as if that were not told.")
    found, damaged = [], []
    for file in files:
        records, words = lines.read(file)
        found += records
        damaged += words
    contract, compared = header["contract"], _good(found)
    if "contract" not in told or "contract" in wrong:
        contract["compared"] = len(found)
    elif compared < contract["compared"] and not (damaged or contract["missing"]) and files:
        lost.append(
            f"{MEASUREMENTS} has {compared:,} of the {counted(contract['compared'], 'comparison')} that "
            f"{RUN} counts."
        )
    return Run(folder, header, found, lost + damaged)


def _told(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What run.json tells, and what is lost of it."""
    unknown = "what the run was to compare, and on what it ran, is not known."
    if not path.is_file():
        return {}, [f"{RUN} is missing: {unknown}"]
    try:
        told = lines.decoded(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return {}, [f"{RUN} cannot be read ({error}): {unknown}"]
    if not isinstance(told, dict):
        return {}, [f"{RUN} is not of a run: {unknown}"]
    later = told.get("format")
    if isinstance(later, int) and later > FORMAT:
        words = f"{RUN} is of format {later}, and this suite knows those up to {FORMAT}"
        return told, [f"{words}: what is new in it is not told."]
    return older.header(told), []


def _unmerged(folder: Path) -> str:
    """The id of the newest run whose fragments were never merged; "" if there is none."""
    left = [p for ending in (RECORDS, DECLARED) for p in (folder / FRAGMENTS).glob(f"?*.*{ending}")]
    ids = {path.name.split(".")[0] for path in left}
    return max(ids, key=lambda run: _written(folder, run), default="")


def _written(folder: Path, run: str) -> float:
    return max(path.stat().st_mtime for path in fragments(folder, run))


def _noted(folder: Path, run: str) -> tuple[dict[str, Any], list[str]]:
    """What the processes of a killed run noted, and what is lost of it."""
    lost = [f"The run did not end: this is what it had measured until then, from {FRAGMENTS}/."]
    try:
        return gathered(folder, run) | {"id": run}, lost
    except (ValueError, LookupError, TypeError, AttributeError, ParityError):
        return {"id": run}, [*lost, "What it was to compare and what it noted cannot be read."]


def joined(runs: Sequence[Run]) -> Run:
    """Several runs as one: shards of a matrix of variants, or a run and its repetition.

    What a later run did again replaces what an earlier one had. The header is the first run's, with
    ``runs``, what each of them was, and ``differs``: versions, hosts and choices of inputs that are
    not the same in all of them, by name, in the order of the runs that tell them.

    Raises ParityError where a variant was run on two checkpoints, or there is no run.
    """
    if not runs:
        raise ParityError("There is no run to join: name one report folder, or several.")
    last = {run.header["id"] or place: place for place, run in enumerate(runs)}  # given twice
    runs = [runs[place] for place in sorted(last.values())]
    told = [
        {name: run.header[name] for name in ("id", "command", "started", "seconds")}
        | {"folder": run.folder.name}
        for run in runs
    ]
    if len(runs) == 1:
        return Run(runs[0].folder, runs[0].header | {"runs": told}, runs[0].found, runs[0].lost)
    _hold_same_checkpoints(runs)
    headers, found = [run.header for run in runs], list(_comparisons(runs))
    header = headers[0] | {
        "id": "+".join(h["id"] for h in headers if h["id"]),
        "command": "; ".join(dict.fromkeys(h["command"] for h in headers if h["command"])),
        "options": [o for o in headers[0]["options"] if all(o in h["options"] for h in headers)],
        "program": _common([h["program"] for h in headers]),
        "started": min((h["started"] for h in headers if h["started"]), default=""),
        "seconds": round(sum(h["seconds"] for h in headers), 2),
        "exit": max((h["exit"] for h in headers), key=_gravity),
        "pipeline": _pipeline(headers),
        "deviations": _deviations(headers),
        "checkpoints": _united(headers, "checkpoints"),
        "stages": _united(headers, "stages"),
        "contract": _contract(runs, found),
        "failures": _kept(headers, "failures"),
        "costs": costs([{"costs": h["costs"]} for h in headers]),
        "artifacts": [one for h in headers for one in h["artifacts"]],
        "tests": _kept(headers, "tests"),
        "differs": _differences(headers),
        "runs": told,
    }
    header.pop("variants", None)  # figures of the first alone
    folder = Path(os.path.commonpath([run.folder.absolute() for run in runs]))
    lost = [f"{run.folder.name}: {words}" for run in runs for words in run.lost]
    return Run(folder, header, found, lost)


def _common(programs: list[str]) -> str:
    """What repeats any of several runs: pytest, unless all were begun with the same."""
    by_check = any(one.startswith(CHECK) for one in programs)
    same = len(set(programs)) == 1
    return programs[0] if same else BY_NAME if by_check or BY_NAME in programs else PYTEST


def _hold_same_checkpoints(runs: Sequence[Run]) -> None:
    known: dict[str, tuple[str, Path]] = {}
    for run in runs:
        for variant, checkpoint in run.header["checkpoints"].items():
            digest, folder = known.setdefault(variant, (checkpoint["digest"], run.folder))
            if digest != checkpoint["digest"]:
                raise ParityError(
                    f"{folder} and {run.folder} cannot be one report: they ran {variant} on different "
                    f"checkpoints ({digest[:12]} and {checkpoint['digest'][:12]}). Join runs of the "
                    f"same release, profile and seed, or report each of them alone."
                )


def _comparisons(runs: Sequence[Run]) -> Iterator[Measurement]:
    """Every comparison in the order of the runs, without those that a later run made again."""
    keys = [{_key(m) for m in run.found} for run in runs]
    for place, run in enumerate(runs):
        again = set().union(*keys[place + 1 :])
        yield from (m for m in run.found if _key(m) not in again)


def _key(m: Measurement) -> tuple:
    return (
        m.variant, m.stage, m.layer, m.runtime, m.mode, m.place, m.tap,
        m.batch, m.grid, m.seed, m.content, m.scale,
    )  # fmt: skip


def _pipeline(headers: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The stages of every run, each as the first that has it tells it."""
    known: dict[str, dict[str, str]] = {}
    for header in headers:
        for one in header["pipeline"]:
            known.setdefault(one["name"], one)
    return list(known.values())


def _deviations(headers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The known departures of every run, each once."""
    told = [one for header in headers for one in header["deviations"]]
    return [one for place, one in enumerate(told) if one not in told[:place]]


def _united(headers: Iterable[dict[str, Any]], key: str) -> dict[str, Any]:
    return {name: told for header in headers for name, told in header[key].items()}


def _kept(headers: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """What is told of tests, each by the last run that ran it."""
    last = {one["test"]: header for header in headers for one in header["tests"]}
    return [
        one for header in headers for one in header[key] if last.get(one["test"], header) is header
    ]


def _contract(runs: Sequence[Run], found: Sequence[Measurement]) -> dict[str, Any]:
    """The contracts summed. What was compared twice was declared twice, and counts once; of a gap
    the last run of its test tells."""
    contracts = [run.header["contract"] for run in runs]
    gaps = _kept([run.header | run.header["contract"] for run in runs], "missing")
    again = sum(_good(run.found) for run in runs) - _good(found)
    closed = sum(_open(contract["missing"]) for contract in contracts) - _open(gaps)
    inputs = {str(one) for one in {m.input for m in found}} | {gap["input"] for gap in gaps}
    return {
        "declared": sum(contract["declared"] for contract in contracts) - again - closed,
        "compared": sum(contract["compared"] for contract in contracts) - again,
        "inputs": len(inputs),
        "missing": gaps,
    }


def _good(found: Iterable[Measurement]) -> int:
    """How many are comparisons: a declared tap that was not there has a record, too."""
    return sum(not m.problem for m in found)


def _open(gaps: Iterable[dict[str, Any]]) -> int:
    return sum(gap["declared"] - gap["compared"] for gap in gaps)


def _differences(headers: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    differs: dict[str, list[Any]] = {}
    for section in ("versions", "host", "inputs"):
        told = [header[section] for header in headers if any(header[section].values())]
        for name in dict.fromkeys(name for one in told for name in one):
            values: list[Any] = []
            for one in told:
                if one.get(name) not in values:
                    values.append(one.get(name))
            if values[1:]:
                differs[name] = values
    return differs


def _gravity(end: str) -> int:
    """How much is wrong with how a run ended; what pytest calls neither of these is the worst."""
    known = ("", OK, FAILED)
    return known.index(end) if end in known else len(known)
