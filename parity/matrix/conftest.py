"""The matrix's own pytest: options, one test a cell, and what an environment leaves for the report."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.matrix import cell as matrix
from dinov3_parity.parity.matrix import deviations
from dinov3_parity.parity.matrix.bundle import Bundle
from dinov3_parity.parity.runtimes.isolated import ChildRunner
from dinov3_parity.parity.words import counted

RECORDS, RUN = "cells.jsonl", "run.json"
STATE = pytest.StashKey[dict]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dinov3-parity matrix")
    group.addoption("--bundle", metavar="DIR", type=Path, help="made by: dinov3-parity bundle")
    group.addoption(
        "--out", metavar="DIR", type=Path, help="where records go (default: reports/out/ort)"
    )
    group.addoption(
        "--shard", metavar="I/N", default="1/1", help="the I-th of N parts of the cells"
    )
    group.addoption(
        "--timeout", metavar="S", type=float, default=120.0, help="of one session (120)"
    )


def shard(words: str) -> tuple[int, int]:
    """(i, n) of ``i/n``; raises UsageError for anything else."""
    try:
        i, n = map(int, words.split("/"))
        if not 1 <= i <= n:
            raise ValueError
    except ValueError:
        raise pytest.UsageError(
            f"--shard {words}: write I/N, such as 2/4, with 1 <= I <= N."
        ) from None
    return i, n


def pytest_configure(config: pytest.Config) -> None:
    if not config.option.bundle:
        raise pytest.UsageError(
            "Name a bundle with --bundle DIR. Make one with: dinov3-parity bundle --variant vits16 "
            "--out DIR"
        )
    try:
        bundle = Bundle(config.option.bundle.expanduser().absolute())
        bundle.verify()
        found = list(matrix.cells(bundle, version("onnxruntime")))
        policy = deviations.load()
    except ParityError as error:
        raise pytest.UsageError(str(error)) from None
    i, n = shard(config.option.shard)
    out = (config.option.out or Path("reports/out/ort") / version("onnxruntime")).absolute()
    config.stash[STATE] = {
        "bundle": bundle, "policy": policy, "out": out, "found": [],
        "cells": [one for number, one in enumerate(found) if number % n == i - 1],
        "runner": ChildRunner(config.option.timeout), "started": datetime.now(UTC),
    }  # fmt: skip


def pytest_report_header(config: pytest.Config) -> list[str]:
    state = config.stash[STATE]
    told = state["bundle"].manifest
    cells = counted(len(state["cells"]), "cell")
    return [
        f"onnxruntime {version('onnxruntime')}, {cells} of {told['title']}",
        f"checkpoint: {told['checkpoint']['description']}",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        cells = metafunc.config.stash[STATE]["cells"]
        metafunc.parametrize(("cell", "model"), cells, ids=[cell.id for cell, _ in cells])


@pytest.fixture(scope="session")
def state(request: pytest.FixtureRequest):
    state = request.config.stash[STATE]
    state["out"].mkdir(parents=True, exist_ok=True)
    (state["out"] / RECORDS).write_text("")
    yield state
    state["runner"].close()


@pytest.fixture
def measured(state):
    """Runs a cell, and writes its record whatever becomes of it."""

    def measure(cell, model):
        found = matrix.measured(state["bundle"], cell, model, state["runner"])
        state["found"].append(found)
        with (state["out"] / RECORDS).open("a") as stream:
            stream.write(json.dumps(found.line(), allow_nan=False) + "\n")
        return found

    return measure


def pytest_sessionfinish(session: pytest.Session) -> None:
    state = session.config.stash.get(STATE, None)
    if not state or not state["found"]:
        return
    told = state["bundle"].manifest
    run = {
        "kind": "matrix", "onnxruntime": version("onnxruntime"), "numpy": version("numpy"),
        "python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count(),
        "started": state["started"].isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - state["started"]).total_seconds(), 2),
        "shard": session.config.option.shard, "bundle": state["bundle"].digest,
        "title": told["title"], "variant": told["variant"], "checkpoint": told["checkpoint"],
        "frameworks": sorted({"torch", "jax"} & set(sys.modules)),
        "unmatched": deviations.unmatched(state["found"], state["policy"]),
    }  # fmt: skip
    (state["out"] / RUN).write_text(json.dumps(run, indent=1))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    state = config.stash.get(STATE, None)
    if not state or not state["found"]:
        return
    counts: dict[str, int] = {}
    for one in state["found"]:
        counts[one.verdict] = counts.get(one.verdict, 0) + 1
    told = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    terminalreporter.write_line(f"onnxruntime {version('onnxruntime')}: {told}")
    terminalreporter.write_line(matrix.looked_into(state["found"]))
    for name in deviations.unmatched(state["found"], state["policy"]):
        terminalreporter.write_line(f"listed deviation that no cell here is about: {name}")
    terminalreporter.write_line(f"records: {state['out'] / RECORDS}")
