"""Everything in the documents that can be run is run; links lead somewhere; options exist."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dinov3_parity.fixtures.cli import COMMANDS
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.faults.trial import attempt
from dinov3_parity.parity.faults import catalogue

from selftests.faults.test_faults import INPUTS
from selftests.support.documents import DOCUMENTS, ROOT, absent, anchors, blocks, links, options
from selftests.support.processes import environment

#: What no help names: pip's and npm's, a word for any option, pytest's other spelling of --junit-xml.
UNNAMED = {"--index-url", "--ignore-scripts", "--option", "--junitxml"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, store):
    """A copy of what is in the repository, to type commands in, and their environment."""
    folder = tmp_path_factory.mktemp("documents") / "checkout"
    told = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = told.stdout.split("\0") if told.returncode == 0 else []
    for name in filter(None, names or _all_files()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    home = folder.parent / "home"
    home.mkdir()
    known = environment("JAX_") | {
        "DINOV3_PARITY_STORE": str(store.root), "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, (folder / "fixtures" / "package", folder))),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    return folder, known


def _all_files():
    """The files of a checkout that git does not know, as the gate's copy is one."""
    top = ("README.md", "conftest.py", "pyproject.toml", "tox.ini")
    folders = ("parity", "fixtures", "reports", "docs", "selftests")
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    kept = (str(path.relative_to(ROOT)) for path in inside if "__pycache__" not in path.parts)
    return [*top, *(name for name in kept if not name.startswith(str(Path("reports", "out"))))]


def runnable(language):
    return [
        document
        for document in DOCUMENTS
        if any(block.language == language and not block.spared for block in blocks(document))
    ]


#: Minutes of conversions, exports and runs, each of which other selftests look at by itself.
LONG = ("docs/ports.md", "docs/report.md", "docs/tutorial.md", "docs/workflow.md")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(one, marks=[pytest.mark.thorough] if one in LONG else [])
        for one in runnable("sh")
    ],
)
def test_the_commands_of_a_document_run_one_after_another(document, checkout):
    """And print what the document shows below them."""
    folder, environment = checkout
    printed = ""
    for block in blocks(document):
        if not block.language and not block.spared:
            missing = absent(block.text, printed)
            assert not missing, f"{document}:{block.line} shows, not printed: {missing}\n{printed}"
        if block.language != "sh" or block.spared:
            continue
        shown = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text], cwd=folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert shown.returncode == 0, f"{document}:{block.line}\n{block.text}\n{shown.stdout}"
        assert "Traceback" not in shown.stdout
        printed = shown.stdout


@pytest.mark.parametrize("document", runnable("python"))
def test_the_python_of_a_document_runs(document):
    for block in blocks(document):
        if block.language == "python" and not block.spared:
            exec(compile(block.text, f"{document}:{block.line}", "exec"), {"__name__": "document"})


def test_what_is_not_run_has_a_reason_that_a_reader_would_accept():
    spared = [block for document in DOCUMENTS for block in blocks(document) if block.spared]
    assert all(len(block.spared.split()) > 3 for block in spared)
    others = {b.language for d in DOCUMENTS for b in blocks(d)} - {"sh", "python"}
    assert others <= {"", "toml", "yaml"}, "a language that nobody runs"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_shows_stands_below_a_command_that_is_run(document):
    ran = False
    for block in blocks(document):
        if block.language == "sh":
            ran = not block.spared
        assert block.language or block.spared or ran, f"{document}:{block.line}: who prints this?"


def test_what_is_shown_is_compared_but_for_what_varies():
    printed = """
        store: made recording ×4; reused equimo, recording ×2
        vits16: onnx holds; largest noise ratio 1.51 of limit 3 (onnx, block 7, ls1, B1 1x1 seed=0)
        compared 6,844 of 6,844 declared taps on 7 inputs, 0 failed, at 1.61e+06
        times the rounding floor
        report: /home/me/out/index.html
    """
    for right in (
        "vits16: onnx holds; largest … report: /tmp/index.html",
        "largest noise ratio 2.30 of limit 5.5 (meta, cls, B2 1x1 seed=1)\ncompared 6,844 of 6,844 …",
        "0 failed, at 700 times the rounding floor",
        "store: made equimo, recording ×6; reused nothing",
    ):
        assert not absent(right, printed), right
    for wrong in (
        "store: made equimo, recording ×5; reused nothing",
        "on 6 inputs",
        "1 failed",
        "report: … compared",
        "onnx departs",
        "report: /tmp/other.html",
    ):
        assert absent(wrong, printed), wrong


#: How the column of a table is headed that tells how strong a mistake shows.
_RATIO = re.compile("times the floor|noise ratio, ")


def _rows_of_mistakes():
    """The rows of the documents' tables of mistakes: the mistake, the other cells by column."""
    for document in DOCUMENTS:
        columns: list[str] = []
        for line in _text(document).splitlines():
            if not line.startswith("|"):
                columns = []
                continue
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if any(_RATIO.match(cell) for cell in cells):
                columns = cells
            elif columns and cells[0].strip("- "):
                told = dict(zip(columns, cells, strict=True))
                yield pytest.param(told, id=f"{document}-{cells[0]}")


def _text(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


@pytest.mark.parametrize("told", list(_rows_of_mistakes()))
def test_a_mistake_is_as_strong_as_the_documents_say(told, vits16):
    """To a factor of two: the ratio is that of the first input that shows it."""
    name = told.get("fault") or told["passes the gate"]
    trial = attempt(catalogue()[name], vits16, "equimo", INPUTS.inputs)
    (ratio,) = (figure for column, figure in told.items() if _RATIO.match(column))
    assert 0.5 < trial.record["ratio"] / float(ratio.replace(",", "")) < 2
    if "fault" in told:
        assert trial.record["named"] == told["named at"]
        assert trial.gate.passed == told["the published 1e-5 gate"].startswith("passes")
    else:
        assert trial.gate.passed
        assert 0.5 < trial.gate.max_abs / float(told[r"max \|Δ\| there"]) < 2


def test_numbers_of_mistakes_are_those_of_the_catalogue_and_of_the_picture():
    (told,) = re.findall(r"mistakes that porters make, (\d+)\s+of\s+them", _text("README.md"))
    assert int(told) == len(catalogue())
    drawn = re.findall(r"(\d+) wrong ones", _text("docs/images/yardstick.svg"))
    assert re.findall(r"Here are (\d+) mistakes", _text("docs/yardstick.md")) == drawn


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    here = Path(document).parent
    for target in links(document):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        name = os.path.normpath(here / path) if path else document
        assert (ROOT / name).exists(), target
        if anchor:
            assert anchor in anchors(name), target


def test_every_document_can_be_reached_from_the_readme():
    reached, left = set(), ["README.md"]
    while left:
        document = left.pop()
        if document in reached:
            continue
        reached.add(document)
        here = Path(document).parent
        targets = (os.path.normpath(here / target.partition("#")[0]) for target in links(document))
        left += [target for target in targets if target in DOCUMENTS]
    assert reached == set(DOCUMENTS)


@pytest.fixture(scope="module")
def known():
    """Every option of the commands and of pytest."""
    said = io.StringIO()
    for name in COMMANDS:
        with pytest.raises(SystemExit), contextlib.redirect_stdout(said):
            main([name, "--help"])
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    cells = (ROOT / "parity" / "matrix" / "conftest.py").read_text()
    words = said.getvalue() + told.stdout + cells
    return set(re.findall(r"--[a-z][a-z-]+", re.sub(r"-\n\s+", "-", words)))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_that_a_document_names_exist(document, known):
    assert options(document) <= known | UNNAMED


def test_the_yardsticks_picture_is_drawn_from_records(tmp_path):
    from dinov3_parity.reports import plot

    (tmp_path / "faults.json").write_text(
        json.dumps({"faults": [
            {"name": "one", "variant": "vits16", "ratio": 9.5, "gate_max_abs": 8e-6},
            {"name": "shape", "variant": "vits16", "ratio": None, "gate_max_abs": None},
            {"name": "small", "variant": "other", "ratio": 5.0, "gate_max_abs": 1.0},
        ]})
    )  # fmt: skip
    lines = [
        {
            "family": "vit",
            "tap": "cls",
            "mode": "chained",
            "stage": "onnx",
            "parent": "mapped",
            "max_abs": 1e-6,
            "ratio": 1.0,
        },
        {
            "family": "vit",
            "tap": "cls",
            "mode": "chained",
            "stage": "meta",
            "parent": "",
            "max_abs": 0.0,
            "ratio": 1.0,
        },
        {
            "family": "vit",
            "tap": "norm",
            "mode": "chained",
            "stage": "onnx",
            "parent": "mapped",
            "max_abs": 1e-6,
            "ratio": 1.0,
        },
    ]
    (tmp_path / "measurements.jsonl").write_text("\n".join(map(json.dumps, lines)))
    wrong, right = plot.faults(tmp_path), plot.honest(tmp_path)
    assert wrong == {"one": (8e-6, 9.5)} and right == [(1e-6, 1.0)]
    made = [tmp_path / f"{i}.svg" for i in range(2)]
    for file in made:
        plot.draw(wrong.values(), right, file)
    assert made[0].read_bytes() == made[1].read_bytes()
    assert "1 wrong ones" in made[0].read_text()
