"""A cell that drifts, and the run of one, without any file."""

import json

from dinov3_parity.parity.matrix.cell import (
    DRIFT,
    Cell,
    Record,
)

CELL = Cell("1.23.2", "static-21", 21, "static", "float32", "all", 1)
DRIFTED = Record(CELL, DRIFT, ratio=40.0, limit=4.0, tap="pooled", input="B1 14x14 seed=2")


def run_of(folder, found, bundle="a" * 64, version="1.23.2"):
    folder.mkdir()
    run = {
        "kind": "matrix", "onnxruntime": version, "numpy": "2", "python": "3.11", "system": "Linux",
        "cores": 2, "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "shard": "1/1",
        "bundle": bundle, "title": "vits16 <b>", "variant": "vits16", "frameworks": [], "unmatched": [],
        "checkpoint": {"kind": "synthetic", "description": "synthetic", "digest": "0"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "cells.jsonl").write_text("".join(json.dumps(r.line()) + "\n" for r in found))
    return folder
