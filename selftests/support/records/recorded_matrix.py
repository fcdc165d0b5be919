"""An onnxruntime matrix that is made up, a folder a version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.chosen import SQUARE
from dinov3_parity.parity.matrix.cell import (
    CRASH,
    DRIFT,
    LOW,
    OK,
    THREADS,
    UNSUPPORTED,
    Cell,
    Record,
)
from dinov3_parity.parity.records.run_folder import RUN
from dinov3_parity.parity.runtimes.isolated import LEVELS

from selftests.support.records.figures import (
    EXPORTED,
    stream,
)
from selftests.support.records.recorded import VITS16
from selftests.support.records.recorded_header import checkpoint

VERSIONS, OPSETS = ("1.22.1", "1.27.0", "1.32.0"), (15, 18, 21, 24)


def matrix(folder: Path, seed: int = 0) -> Path:
    """An onnxruntime matrix, a folder a version: one opset that kills each, one that the oldest
    refuses, and a drift at the higher levels of the version after it."""
    for version in VERSIONS:
        own = folder / f"ort{version.rpartition('.')[0]}"
        own.mkdir(parents=True, exist_ok=True)
        told = {
            "kind": "matrix", "onnxruntime": version, "numpy": "2.4.6", "python": "3.11.7",
            "system": "Linux-6.18.44-x86_64-with-glibc2.36", "cores": 2,
            "started": "2026-11-24T10:58:33+00:00", "seconds": 12.5, "shard": "1/1",
            "bundle": hashlib.sha256(b"bundle").hexdigest(), "title": "vits16, synthetic",
            "variant": "vits16", "frameworks": [], "unmatched": [], "checkpoint": checkpoint(VITS16),
        }  # fmt: skip
        (own / RUN).write_text(json.dumps(told, indent=1))
        rng = stream(seed, version)
        records = [_record(cell, rng) for cell in _cells(version)]
        text = "".join(json.dumps(one.line(), allow_nan=False) + "\n" for one in records)
        (own / "cells.jsonl").write_text(text)
    return folder


def _cells(version: str) -> Iterator[Cell]:
    for opset in OPSETS:
        for form in ("mislabelled",) if opset == 15 else ("static", "batch"):
            for level in LEVELS:
                for threads in THREADS:
                    yield Cell(
                        version, f"{form}-{opset}", opset, form, "float32", level, threads
                    )  # fmt: skip
    for precision in ("float16", "int8"):
        for level in LEVELS:
            yield Cell(version, f"static-21-{precision}", 21, "static", precision, level, 0)


def _record(cell: Cell, rng: np.random.Generator) -> Record:
    if cell.form == "mislabelled":
        return Record(cell, CRASH, words="SIGSEGV while loading")
    if (cell.version, cell.opset) == ("1.22.1", 24):
        words = "ONNX Runtime only *guarantees* support for models stamped with official released"
        return Record(cell, UNSUPPORTED, words=f"{words} onnx opset versions. Opset 24 is not.")
    drawn = SQUARE if cell.form == "static" else EXPORTED
    ratio = float(rng.lognormal(0, 0.1))
    figures = {"tap": "pooled", "input": str(drawn), "cosine": 1.0, "max_abs": 2e-6 * ratio}
    growth = {str(block): ratio * (1 + 0.02 * block) for block in range(VITS16.depth)}
    if cell.precision != "float32":
        words = "times the error of the truth with weights rounded to this type"
        errors = {block: 1e-3 * value for block, value in growth.items()}
        figures |= {"cosine": 0.99991, "max_abs": 0.02 * ratio, "words": words}
        return Record(cell, LOW, ratio=ratio, growth=errors, **figures)
    if (cell.version, cell.opset) == ("1.27.0", 24) and cell.level in ("extended", "all"):
        figures |= {
            "ratio": 40 * ratio,
            "max_abs": 8e-5 * ratio,
            "limit": VIT.taps["pooled"].limit.whole,
        }
        return Record(cell, DRIFT, first=f"block 3, output (41.2, {drawn})", **figures)
    seen = 3e-6 * ratio if cell.form == "static" and cell.threads == 0 else None
    return Record(
        cell, OK, ratio=ratio, limit=VIT.taps["pooled"].limit.whole, observer=seen, **figures
    )
