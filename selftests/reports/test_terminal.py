"""What a terminal shows last, and what it must not advise."""

import os
import subprocess
import sys

import pytest
from dinov3_parity.parity.faults import catalogue, like_rounding

from selftests.conftest import ROOT, Ran

TINY = "vits16 and equimo and (release or mapping_table)"

SNAPSHOTS = "dinov3_parity.fixtures.pytest_plugin.snapshots"


@pytest.mark.parametrize("words", [(), ("-q",), ("-n", "2"), ("--co",)], ids=" ".join)
def test_the_last_line_says_where_the_report_is(words, run_pytest, tmp_path):
    shown = run_pytest("-k", TINY, *words)
    assert shown.code == 0, shown.out
    if "--co" in words:
        assert "report: " not in shown.out
    else:
        assert shown.out.splitlines()[-1] == f"report: {tmp_path / 'report' / 'index.html'}"
        assert " passed" in shown.out


TESTS = """
import os

def test_one(snapshot):
    assert not os.environ.get("FAILS")
    assert "1" == snapshot

def test_two(snapshot):
    assert "2" == snapshot
"""


@pytest.fixture
def snapped(tmp_path):
    """Run two tests with a snapshot each, and a third snapshot of a test that is gone."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    file = tmp_path / "tests" / "test_it.py"
    file.parent.mkdir()
    file.write_text(f"{TESTS}\ndef test_gone(snapshot):\n    assert '3' == snapshot\n")

    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def run(*words: str, **more: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", SNAPSHOTS, *words], cwd=tmp_path,
            env=plain | {"PYTHONPATH": str(ROOT / "fixtures" / "package")} | more, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout)

    assert run("--snapshot-update").code == 0
    file.write_text(TESTS)
    return run


def test_a_snapshot_that_nothing_uses_is_told_of_a_whole_run(snapped):
    for words in ((), ("tests",), ("-n", "2")):
        shown = snapped(*words)
        assert shown.code == 1 and "1 snapshot unused" in shown.out, shown.out


@pytest.mark.parametrize(
    "words",
    [("--co",), ("-k", "one"), ("-k", "test_it and not two"), ("tests/test_it.py::test_one",),
     ("-m", "not slow"), ("--deselect", "tests/test_it.py::test_two"), ("-k", "one", "-n", "2")],
    ids=" ".join,
)  # fmt: skip
def test_a_part_of_a_run_says_nothing_of_snapshots_that_it_does_not_use(words, snapped):
    shown = snapped(*words)
    assert shown.code == 0, shown.out
    assert "unused" not in shown.out.lower() and "--snapshot-update" not in shown.out


def test_a_run_that_fails_does_not_advise_to_delete_what_it_did_not_reach(snapped):
    for words in ((), ("-n", "2")):
        shown = snapped(*words, FAILS="1")
        assert shown.code == 1 and "--snapshot-update" not in shown.out, shown.out


def test_updating_a_part_deletes_no_snapshot_of_another(snapped):
    assert snapped("-k", "one", "--snapshot-update").code == 0
    assert "1 snapshot unused" in snapped().out


def test_numbers_agree_with_their_nouns():
    from dinov3_parity.parity.words import counted

    told = [counted(n, "declared tap") for n in (0, 1, 2, 6844)]
    assert told == ["0 declared taps", "1 declared tap", "2 declared taps", "6,844 declared taps"]


def test_the_catalogue_counts_itself_in_one_way(capsys, store):
    from dinov3_parity.fixtures.cli.main import main

    assert main(["faults"]) == 0
    listed = capsys.readouterr().out
    assert main(["faults", "no such mistake", "--store", str(store.root)]) == 2
    refused = capsys.readouterr().err
    for number, kind in ((len(catalogue()), "faults"), (len(like_rounding()), "mistakes that no")):
        assert f"{number} {kind}" in listed and f"{number} {kind}" in refused
