"""A report from whatever lies under the named folders, by the command as its users call it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.command import main
from parity.errors import ParityError
from reports import deviations, html, site
from reports.junit import PAGE as JUNIT
from selftests import recorded
from selftests.conftest import ROOT
from selftests.test_scoreboard import HEADER, board, trial


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("clean", "faulty", "worse", "matrix", "killed"):
        getattr(recorded, name)(folder / name)
    (folder / "faults").mkdir()
    (folder / "faults" / "faults.json").write_text(
        json.dumps(board(trial("a", 0)) | {"run": HEADER})
    )
    return folder


def test_a_run_is_reported_where_it_lies(root, tmp_path, capsys):
    folder = shutil.copytree(root / "faulty", tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("vits16: equimo departs from meta at block 0, attn.k_proj")
    assert told[1].startswith("vits16: mapped repeats equimo's departure")
    assert told[-1] == f"report: {folder / html.OVERVIEW}"
    made = {path.name for path in folder.iterdir()}
    assert made >= {
        html.OVERVIEW,
        html.DEVIATIONS,
        html.ENVIRONMENT,
        site.SUMMARY,
        site.REPRODUCER,
        JUNIT,
    }


def test_everything_under_the_folders_is_one_report(root, tmp_path, capsys):
    words = [str(root / name) for name in ("clean", "matrix", "faults")]
    assert (
        main(["report", *words, "--out", str(tmp_path / "site"), "--baseline", str(root / "worse")])
        == 0
    )
    made = {path.name for path in (tmp_path / "site").iterdir()}
    assert made >= {html.OVERVIEW, html.COMPARISON, html.MATRIX, html.FAULTS}
    told = capsys.readouterr().out
    for words in (
        "vits16: meta, equimo, mapped, onnx hold",
        "1 holds now",
        "opset 18: safe on",
        "1 faults in 1 trials",
    ):
        assert words in told
    page = (tmp_path / "site" / html.OVERVIEW).read_text()
    links = [f'href="{name}"' for name in (html.COMPARISON, html.MATRIX, html.FAULTS)]
    assert all(link in page for link in links) and "measurements.jsonl" in page


def test_environments_of_the_matrix_are_no_runs_of_the_suite(root):
    found = site.gather([root / "matrix"])
    assert found.run is None and found.front == html.MATRIX


def test_a_killed_run_is_read_as_far_as_it_got(root, tmp_path, capsys):
    assert main(["report", str(root / "killed"), "--out", str(tmp_path)]) == 0
    assert "The run did not end" in capsys.readouterr().out


def test_runs_are_found_below_a_folder_and_read_as_one(root, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(root / "clean", tmp_path / name)
    assert len(site.run_folders(tmp_path)) == 2
    found = site.gather([tmp_path]).run
    assert len(found.header["runs"]) == 1
    assert len(found.found) == len(site.gather([root / "clean"]).run.found)  # one run, given twice


@pytest.mark.parametrize(
    ("make", "words"), [(False, "is not a folder"), (True, "holds nothing of a run")]
)
def test_a_folder_without_records_is_told_in_a_sentence(tmp_path, make, words, capsys):
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    assert main(["report", str(folder)]) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(ParityError):
        site.gather([tmp_path / "other"])


def test_a_report_is_made_without_a_framework(root, tmp_path):
    code = "import sys; from fixtures.command import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    words = ["report", str(root / "faulty"), "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(eval(done.stdout.splitlines()[-1]))
    assert not loaded & {
        "torch",
        "jax",
        "equimo",
        "jax2onnx",
        "onnx",
        "onnxruntime",
        "pytest",
        "hypothesis",
    }


def test_the_same_records_make_the_same_page(root, tmp_path):
    pages = [site.gather([root / "faulty"]).write(tmp_path / name).read_text() for name in "aa"]
    assert pages[0] == pages[1]


def test_upstream_findings_are_written_down_once():
    """The document and the page are both written from parity/upstream.toml."""
    assert (Path(ROOT) / "docs" / "upstream.md").read_text() == deviations.document()
    page = deviations.render((html.DEVIATIONS,), [])
    assert page.count("<tr>") == 2 + len(deviations.findings()) + len(deviations.deviations.load())
