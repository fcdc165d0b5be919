"""Many that ask at once get what one of them makes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from selftests.support.children import ROOT, contents, held, left_over, undisposed


@pytest.mark.thorough
def test_eight_that_ask_at_once_get_what_one_of_them_makes(start, undisturbed, tmp_path):
    """Of a stage and of the one it is made from; the makers wait until all eight have asked."""
    usual, noted = undisturbed.made("mapped"), tmp_path / "noted"
    order = {"root": tmp_path / "store", "what": "mapped", "noted": noted, "company": 8}
    children = [start("make", wait=False, **order) for _ in range(8)]
    for child in children:
        child.ready()
    for child in children:
        child.go()
    told = [child.result() for child in children]
    lines = noted.read_text().splitlines()
    assert sorted(lines) == ["asked"] * 8 + ["made equimo", "made mapped"]
    assert sorted(one["reused"]["mapped"] for one in told) == [False] + [True] * 7
    assert {one["path"] for one in told} == {told[0]["path"]}
    assert contents(Path(told[0]["path"])) == usual.contents
    assert (left_over(tmp_path / "store"), held(tmp_path / "store")) == ([], [])


@pytest.mark.thorough
def test_two_runs_in_one_cold_store_are_both_right(tmp_path):
    """Thorough: eight processes ask for the same artifacts above; what whole runs add to it is that
    they wait longer, and they take a minute."""
    runs = {}
    for name in ("one", "other"):
        command = [sys.executable, "-m", "pytest", "-k", "vits16 and equimo and release"]
        command += [f"--store={tmp_path / 'store'}", f"--report-dir={tmp_path / name}"]
        runs[name] = subprocess.Popen(
            command, cwd=ROOT, env=undisposed(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    ratios, made = [], []
    for name, run in runs.items():
        out, _ = run.communicate(timeout=600)
        assert run.returncode == 0 and "compared 2 of 2" in out, out
        lines = (tmp_path / name / "measurements.jsonl").read_text().splitlines()
        ratios.append(sorted((m["tap"], m["ratio"]) for m in map(json.loads, lines)))
        header = json.loads((tmp_path / name / "run.json").read_text())
        made.append({(a["kind"], a["key"], a["made_in"]) for a in header["artifacts"]})
    assert ratios[0] == ratios[1] and len(ratios[0]) == 2
    assert made[0] == made[1] and len(made[0]) == 2, "either has what one of them made"
    assert (left_over(tmp_path / "store"), held(tmp_path / "store")) == ([], [])
