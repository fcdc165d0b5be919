"""A report from whatever lies under the named folders, by the command as its users call it."""

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.reader import Run, joined
from dinov3_parity.reports import terminal
from dinov3_parity.reports.pages import deviations, html, matrix, site
from dinov3_parity.reports.texts.junit import PAGE as JUNIT
from msgspec.structs import replace

from selftests.conftest import ROOT
from selftests.support.pages import loads_nothing, runs_what_it_names
from selftests.support.records import recorded, recorded_matrix
from selftests.support.records.boards import HEADER, board, trial
from selftests.support.records.measurements import PARENTS, clean, taken


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("clean", "faulty", "worse", "matrix", "killed"):
        getattr(recorded_matrix if name == "matrix" else recorded, name)(folder / name)
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
        "1 fault in 1 trial",
    ):
        assert words in told
    page = (tmp_path / "site" / html.OVERVIEW).read_text()
    links = [f'href="{name}"' for name in (html.COMPARISON, html.MATRIX, html.FAULTS)]
    assert all(link in page for link in links) and "measurements.jsonl" in page


def test_the_merged_cells_of_a_matrix_lie_beside_its_page(root, tmp_path):
    found = site.gather([root / "matrix"])
    found.write(tmp_path)
    lines = (tmp_path / matrix.RECORDS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [one.line() for one in found.cells.records]


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


def test_every_page_stands_alone_and_says_what_it_says_without_its_scripts(root, tmp_path):
    folders = [root / name for name in ("faulty", "matrix", "faults")]
    made = site.gather(folders, [root / "clean"])
    made.write(tmp_path)
    for name in made.pages:
        page = (tmp_path / name).read_text()
        assert loads_nothing(page) and runs_what_it_names(page)
        text = plain(page)
        for other in made.pages:
            assert f'href="{other}"' in page
        if name == html.OVERVIEW:
            assert text.startswith("departs vits16: equimo departs from meta at block 0")
            assert "equimo holds" not in text and "mapped repeats equimo's departure" in text
        assert "<table" in page


def plain(page):
    """The text of a page's content as a reader without JavaScript has it."""
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(unescape(re.sub("<[^>]+>", " ", main)).split())


def test_the_terminal_says_in_ten_lines_what_the_page_says(root, tmp_path):
    made = site.gather([root / "faulty"])
    lines = terminal.Finished(tmp_path, made, made.write(tmp_path)).told()
    page = plain((tmp_path / html.OVERVIEW).read_text())
    assert len(lines) <= 10
    for line in lines[:3]:
        assert line.removeprefix("vits16: ") in page
    (case,) = made.cases
    labels = "why", "suspects, of the mistakes that first show there", "reproduce"
    told = dict(line.strip().split(": ", 1) for line in lines[3:6])
    assert tuple(told) == labels and told["reproduce"] in page
    assert told["why"] == " ".join((*case.why[:2], case.gate))
    for words in (*case.why, case.gate, *told[labels[1]].split(", ")):
        assert words in page
    assert lines[-1].startswith(
        "compared 6,844 of 6,844 declared taps on 7 inputs, quick (seed 147)"
    )


def test_the_pages_digest_is_the_records(root, tmp_path):
    made = site.gather([root / "faulty"])
    page = made.write(tmp_path).read_text()
    packed = re.search(r'id="digest">"([^"]+)"', page)[1]
    told = json.loads(gzip.decompress(base64.b64decode(packed)))
    names = ("variant", "stage", "layer", "runtime", "mode", "block", "tap")
    places = {}
    for m in made.run.found:
        places.setdefault(tuple(getattr(m, name) for name in names), []).append(m)
    assert len(told["rows"]) == len(places)
    for row in told["rows"]:
        found = places[tuple(row[name] for name in names)]
        assert [told["inputs"][i]["name"] for i in row["input"]] == [str(m.input) for m in found]
        for name in ("ratio", "token_ratio", "max_abs", "floor"):
            assert row[name] == [float(f"{getattr(m, name):.3g}") for m in found]
        assert row["failed"] == sum(not m.passed for m in found)
        worst, strongest = found[row["worst"]["at"]], max(found, key=lambda m: m.strength)
        assert row["strength"] == worst.strength == strongest.strength
        for name in ("cosine", "floor_setter", "problem", "breakdown"):
            assert row["worst"][name] == getattr(worst, name)


@pytest.mark.parametrize("name", [html.OVERVIEW, html.ENVIRONMENT, html.DEVIATIONS])
def test_names_with_markup_are_text_on_every_page(tmp_path, name):
    made = site.gather([recorded.hostile(tmp_path / "run")])
    made.write(tmp_path)
    page = (tmp_path / name).read_text()
    assert runs_what_it_names(page) and loads_nothing(page)
    content = page[page.index("<main") : page.index("</main>")]
    assert not any(markup in content for markup in ("<img src=x", "<b>bold", "<script"))
    if name != html.DEVIATIONS:
        for words in recorded.HOSTILE.values():
            assert " ".join(words.split()) in plain(page)


def test_a_variants_case_is_the_first_that_departs_in_its_pipeline():
    found = [
        replace(m, stage=stage, parent=PARENTS[stage])
        for stage in ("onnx", "mapped")
        for m in one().run.found
    ]
    found += [replace(m, variant="vitb16") for m in found]
    made = site.Site(joined([Run(Path("run"), filled({})[0], found, [])]))
    told = [(case.divergence.variant, case.divergence.stage) for case in made.cases]
    assert told == [("vits16", "mapped"), ("vitb16", "mapped")]


def one(**fields):
    """A report of one failed comparison."""
    failed = replace(taken("norm1", 70.0), **fields)
    return site.Site(joined([Run(Path("run"), filled({})[0], [*clean()[:1], failed], [])]))


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "x\ud800y\n::error::z\x1b[31m", "runtime": "\udce4\x00"},
        {"ratio": None, "token_ratio": None, "max_abs": None, "cosine": None, "rel_max": None},
        {"token_ratio": None},
        {"content": "newer", "breakdown": {"image": 0, "tokens": [1.0] * 9, "along": {}}},
        {"grid": (10**6, 10**6)},
        {"batch": 1, "breakdown": {"image": 4, "tokens": [1.0] * 9, "along": {}}},
    ],
    ids=["no-unicode", "infinite", "token-infinite", "unknown", "large", "no-such-image"],
)
def test_a_report_is_made_of_figures_and_names_out_of_range(tmp_path, fields):
    made = one(**fields)
    page = made.write(tmp_path).read_text()
    assert "Where it first breaks" in page and (tmp_path / site.REPRODUCER).is_file()
    lines = terminal.Finished(tmp_path, made, tmp_path).told()
    assert not re.search("[\x00-\x1f\ud800-\udfff]", "".join(lines))


def test_a_report_is_made_without_a_framework(root, tmp_path):
    code = "import sys; from dinov3_parity.fixtures.cli.main import main; "
    code += "main(sys.argv[1:]); print(sorted(sys.modules))"
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
