"""The scoreboard adds up what was tried, in the catalogue's order, whichever process tried it."""

import json
import re

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.reports.pages import faults

from selftests.support.records.boards import CLEAN, HEADER, board, trial


def test_the_margin_is_the_weakest_fault_over_the_strongest_clean_ratio():
    made = board(trial("a", 0, ratio=50.0), trial("b", 1, ratio=12.0), clean=(CLEAN, CLEAN))
    assert made["margin"] == 6.0 and made["weakest"] == 12.0
    assert made["clean"] == {"taps": 200, "false_alarms": 0, "max_ratio": 2.0}


def test_the_order_is_the_catalogues_and_the_pipelines():
    made = board(trial("b", 1), trial("a", 0, stage="onnx"), trial("a", 0, stage="equimo"))
    assert [(t["name"], t["stage"]) for t in made["faults"]] == [
        ("a", "equimo"), ("a", "onnx"), ("b", "meta"),
    ]  # fmt: skip


def test_a_fault_without_a_ratio_does_not_lower_the_margin():
    made = board(trial("a", 0, ratio=None, problem="of another shape: (1,)"), trial("b", 1))
    assert made["weakest"] == 50.0


def test_the_page_lists_what_was_not_located_and_what_the_gate_lets_through():
    lost = trial("lost one", 0, located=False, named="block 3, output")
    page = faults.render(board(lost, trial("passed", 1, gate_passes=True)) | {"run": HEADER})
    assert "Not located: 1 trial." in page
    table = page[page.index("Not found or not located") :]
    table = table[: table.index("</table>")]
    assert "lost one" in table and "block 3, output" in table and "passed" not in table
    through = page[page.index("gate lets through") :]
    assert "passed" in through[: through.index("</table>")]


def test_names_with_markup_show_as_text():
    page = faults.render(board(trial("<script>alert(1)</script>", 0)) | {"run": HEADER})
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_processes_leave_lines_and_one_of_them_merges(tmp_path):
    faults.note(tmp_path, "a1.gw1", faults.FAULT, trial("b", 1))
    faults.note(tmp_path, "a1.gw0", faults.FAULT, trial("a", 0, gate_passes=True))
    faults.note(tmp_path, "a1.gw0", faults.CLEAN, CLEAN)
    faults.note(tmp_path, "b2.gw0", faults.FAULT, trial("another run's", 0))
    told = faults.finish(tmp_path, HEADER | {"id": "a1"})
    assert told[0].startswith(
        "2 faults in 2 trials: 2 found, 2 located; the published 1e-5 gate passes 1"
    )
    kept = json.loads((tmp_path / faults.FILE).read_text())
    assert [t["name"] for t in kept["faults"]] == ["a", "b"]
    assert [left.name for left in tmp_path.rglob("*.faults")] == ["b2.gw0.faults"]


def test_the_command_lists_every_fault(capsys):
    assert main(["faults"]) == 0
    shown = capsys.readouterr().out
    assert int(re.search(r"(\d+) faults\. Show one", shown)[1]) >= 80
    assert "E[x²] - E[x]²" in shown


@pytest.mark.parametrize(
    ("words", "there", "not_there"),
    [
        (["--tap", "norm1"], "RMSNorm", "GELU"),
        (["--variant", "vits16"], "GELU", "SwiGLU"),
        (["--variant", "vits16plus"], "SwiGLU", "ReLU for GELU"),
        (["--stage", "onnx"], "k bias not masked", "RMSNorm"),
    ],
)
def test_the_command_lists_the_faults_of_a_tap_a_variant_or_a_stage(
    capsys, words, there, not_there
):
    assert main(["faults", *words]) == 0
    shown = capsys.readouterr().out
    assert there in shown and not_there not in shown
    found, of = re.search(r"^(\d+) of (\d+) faults\.$", shown, re.M).groups()
    assert 0 < int(found) < int(of)


def test_the_command_shows_what_the_suite_says_of_one(store, capsys):
    words = ["faults", "registers reversed", "--stage", "equimo", "--store", str(store.root)]
    assert main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "equimo departs from meta at tokens" in shown
    assert "The published 1e-5 gate passes it" in shown and "Named as declared." in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no such fault"], "There is no fault 'no such fault'"),
        (["k bias not masked", "--stage", "tflite"], "--stage tflite"),
        (["k bias not masked", "--variant", "vitx"], "--variant vitx"),
        (["--variant", "vitx"], "--variant vitx"), (["--tap", "norm3"], "--tap norm3"),
        (["--stage", "tflite"], "--stage tflite"),
        (["RMSNorm", "--stage", "onnx"], "it can be made in meta, equimo, mapped"),
    ],
)  # fmt: skip
def test_the_command_tells_what_it_cannot_do(words, said, capsys):
    assert main(["faults", *words]) == 2
    assert said in capsys.readouterr().err
