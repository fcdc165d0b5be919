"""Trials of faults that are made up, and the board of some."""

from dinov3_parity.reports.pages import faults

PIPELINE = [
    {"name": "meta", "parent": ""},
    {"name": "equimo", "parent": "meta"},
    {"name": "onnx", "parent": "equimo"},
]
HEADER = {"started": "2026-01-01T00:00:00+00:00", "command": "pytest selftests -k faults"}


def trial(name, number, stage="meta", ratio=50.0, located=True, **more):
    return {
        "name": name, "words": "a mistake", "variant": "vits16", "stage": stage, "tap": "norm1",
        "block": 0, "found": True, "located": located, "named": "block 0, norm1", "ratio": ratio,
        "token_ratio": ratio, "problem": "", "gate_passes": False, "gate_max_abs": 1e-3,
        "examples": 1, "input": "B1 1x1 seed=0", "number": number,
    } | more  # fmt: skip


CLEAN = {"taps": 100, "false_alarms": 0, "max_ratio": 2.0}


def board(*trials, clean=(CLEAN,), certificate=()):
    return faults.scoreboard(list(trials), [], list(clean), list(certificate), PIPELINE)
