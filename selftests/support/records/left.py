"""Folders as a run leaves them."""

import json
import os

from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import run_folder
from dinov3_parity.parity.records.account import Account
from dinov3_parity.parity.records.run_folder import MEASUREMENTS, RUN, RecordWriter, merge

from selftests.support.records.measurements import clean

ONE, OTHER = Input(1, (2, 2)), Input(2, (1, 3), 7)
HOSTILE = "<script>alert('</td>')</script>\x00 \ud800 \"'&"


def executed(name, outcome="passed", **properties):
    told = {"test": name, "outcome": outcome, "seconds": 0.5, "words": "", "properties": properties}
    return told | {"properties": {"layer": "blocks", "variant": "vits16"} | properties}


def left(folder, name="a1", found=None, digest="d" * 64, gap=(), tests=("blocks",), **more):
    """A folder as a run leaves it: one test, of everything that was found."""
    found = clean() if found is None else found
    writer = RecordWriter(folder, name, "main")
    writer.record(found)
    good = sum(not m.problem for m in found)
    writer.account("t.py::blocks", [Account(ONE, good, good)] if found else [])
    writer.account("t.py::gap", [Account(one, missing) for one, missing in gap])
    writer.note({
        "checkpoints": {"vits16": {"kind": "synthetic", "description": "", "digest": digest}},
        "stages": {}, "costs": {}, "artifacts": [],
    })  # fmt: skip
    header = {
        "id": name, "command": f"pytest -k {name}", "started": "2026-01-01T00:00:00+00:00",
        "seconds": 2.0, "exit": "ok", "tests": [executed(f"t.py::{test}") for test in tests],
        "inputs": {"profile": "quick", "seed": 0, "examples": 4, "pinned": []},
    }  # fmt: skip
    assert merge(folder, header | more)
    return folder


def again(folder, **keys):
    """Change keys of a folder's run.json."""
    told = json.loads((folder / RUN).read_text())
    (folder / RUN).write_text(json.dumps(told | keys))


def append(folder, text):
    with (folder / MEASUREMENTS).open("a") as stream:
        stream.write(text)


def killed(folder, name, found, at=0):
    """What a run leaves that was killed: two processes, one cut off in the middle of a line."""
    for worker, share in (("gw0", found[::2]), ("gw1", found[1::2])):
        RecordWriter(folder, name, worker).record(share)
    writer = RecordWriter(folder, name, "gw0")
    writer.declare([{"test": "t.py::blocks", "inputs": [str(ONE), str(OTHER)], "declared": 3}])
    writer.account("t.py::blocks", [Account(ONE, 3, 3, "far off")])
    for path in run_folder.fragments(folder, name):
        os.utime(path, (at, at))
