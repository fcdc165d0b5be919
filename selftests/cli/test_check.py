"""``dinov3-parity check``: what it returns, what it tells a machine, and where it finds its options."""

import json
import shlex

import pytest
from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.cli import check
from dinov3_parity.fixtures.cli.main import main

from selftests.cli.conftest import SCHEMA
from selftests.conftest import ROOT
from selftests.support.records.json_schema import wrong
from selftests.support.stages.brought import PORT, TANH, given
from selftests.support.stages.onnx_files import by_tanh, exported

NUMPY = f"{ROOT / 'docs' / 'examples' / 'numpy_port.py'}:NumPyPort"


def test_a_port_that_holds_ends_in_0(ran):
    shown = ran(NUMPY, "-k", "primitives", "--json", "v.json", "--junit", "j.xml")
    assert shown.code == 0, shown.out + shown.err
    told = json.loads((ran.here / "v.json").read_text())
    assert wrong(told, SCHEMA) == [] and told == json.loads(
        (ran.here / "r/verdict.json").read_text()
    )
    assert told["verdict"] == "holds" and told["compared"] == told["declared"] > 0
    assert [(edge["stage"], edge["verdict"]) for edge in told["edges"]] == [("numpy", "holds")]
    assert "<testsuite" in (ran.here / "j.xml").read_text()
    first, *_, last = shown.out.splitlines()
    assert first.startswith("check: python -m pytest ") and "--pyargs dinov3_parity" in first
    assert last == "check: holds: vits16: numpy holds"


def test_a_port_that_departs_ends_in_1_and_its_line_repeats_it_here(ran):
    given(ran.here, TANH, "my port.py")
    port = "my port.py:Port"
    shown = ran(port, "-k", "blocks", "--json", "-")
    assert shown.code == 1, shown.err
    first = shown.told["first_divergence"]
    assert (first["stage"], first["place"], first["tap"]) == ("mine", "block 0", "ffn.hidden")
    assert first["ratio"] > first["limit"] and first["departing"][0]["tap"] == "ffn.hidden"
    assert "GELU by tanh" in first["suspects"]
    begins = "dinov3-parity check 'my port.py:Port' --variant vits16 -k blocks --reproduce 'B"
    assert first["repeat"].startswith(begins) and f"Reproduce: {begins}" in shown.err
    again = ran(*shlex.split(first["repeat"])[2:], "--json", "-")
    assert again.code == 1 and again.told["inputs"] == 1
    assert again.told["first_divergence"]["tap"] == "ffn.hidden"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["port.py:Prot"], "has no Prot"),
        (["prot.py:Port"], "here/prot.py: write path/to/module.py:Name"),
        (
            ["port.py:Port", "-k", "(("],
            "-k '((' is no expression. Write names with and, or and not",
        ),
        (["nothing.of:Port"], "No module named 'nothing'"),
        (["onxx"], "no stage is called that"),
        (["port.py:Port", "-k", "blokcs"], "nothing is called 'blokcs', perhaps blocks?"),
        (["port.py:Port", "--", "--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
    ids=str,
)
def test_what_could_not_run_ends_in_2_and_says_why(ran, words, says):
    given(ran.here, PORT, "port.py")
    shown = ran("--json", "-", *words)
    assert shown.code == 2, shown.err
    assert says in shown.told["error"] and says in shown.err
    assert "Traceback" not in shown.err and shown.told["edges"] == []


@pytest.mark.parametrize("method", ["__init__", "features"])
def test_a_port_that_itself_fails_ends_in_1_also_where_nothing_was_compared(ran, method):
    given(
        ran.here, f"{PORT}    def {method}(self, *_): raise SystemExit('no licence')\n", "port.py"
    )
    shown = ran("port.py:Port", "-k", "release", "--json", "-")
    assert shown.code == 1, shown.err
    told = shown.told
    assert (told["verdict"], told["edges"], told["error"]) == ("departs", [], "")
    assert "no licence" in told["failed_tests"][0]["words"] and told["missing"]
    last = "check: fails: vits16: mine itself failed, and was not compared in full"
    assert shown.err.splitlines()[-1] == last and "holds" not in shown.err


@pytest.mark.parametrize(("body", "code"), [(PORT, 0), (TANH, 1)], ids=["held", "departed"])
def test_an_earlier_runs_verdict_is_not_taken_for_this_ones(ran, body, code):
    """Whatever it was: the report's folder has it still."""
    given(ran.here, body, "port.py")
    assert ran("port.py:Port", "-k", "blocks", "--reproduce", "B2 2x8 seed=1").code == code
    shown = ran("port.py:Port", "-k", "blokcs", "--json", "-")
    assert shown.code == 2 and "perhaps blocks" in shown.err
    assert shown.told["verdict"] == "could not run" and shown.told["first_divergence"] is None
    assert json.loads((ran.here / "r/verdict.json").read_text())["exit"] == code


def test_a_repository_says_what_it_always_wants(ran):
    """In a folder below it as well, and beside its own tests' configuration, which is not read."""
    given(ran.here, "", "ported/__init__.py")
    given(ran.here, PORT, "ported/dino.py")
    (ran.here / "pyproject.toml").write_text(
        "[tool.dinov3-parity]\nport = 'ported.dino:Port'\nvariant = 'vits16'\nk = 'primitives'\n"
        "report-dir = 'out'\njson = '-'\n"
        "[tool.pytest.ini_options]\naddopts = '--no-such-option'\npython_files = 'spec_*.py'\n"
    )
    given(ran.here, "raise RuntimeError('not for the suite')", "below/conftest.py")
    shown = ran(folder=ran.here / "below")
    assert shown.code == 0, shown.err
    assert shown.told["edges"][0]["stage"] == "mine"
    assert (ran.here / "out" / "index.html").is_file()
    other = ran("numpi", folder=ran.here / "below")
    assert "no stage is called that" in other.told["error"]
    assert other.told["command"] == "dinov3-parity check numpi"


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """The line that is run for a table of pyproject.toml and a command line."""

    def line(table, *words):
        (tmp_path / "pyproject.toml").write_text(table)
        monkeypatch.chdir(tmp_path)
        found = []
        monkeypatch.setattr(check, "_pytest", lambda line, _: (found.append(line), (4, "stop"))[1])
        assert main(["check", *words]) == 2
        return found[0] if found else None

    return line


def test_the_command_line_goes_before(settled):
    table = (
        "[tool.dinov3-parity]\nport = 'a.py:A'\nvariant = ['vits16', 'vitb16']\nstore = 'kept'\n"
    )
    line = settled(table)
    assert line[line.index("-k") + 1] == "vits16 or vitb16" and "--check=a.py:A" in line
    assert any(word.startswith("--store=/") and word.endswith("/kept") for word in line)
    line = settled(table, "b:B", "--variant", "vitl16", "-k", "blocks or head", "--store", "other")
    assert line[line.index("-k") + 1] == "vitl16 and (blocks or head)"
    assert {"--check=b:B", "--store=other"} < set(line)


def test_a_command_of_the_table_names_files_from_its_folder(settled, tmp_path, monkeypatch):
    table = "[tool.dinov3-parity]\ncommand = 'node port.mjs --x'\nname = 'js'\ntimeout = 30\n"
    (tmp_path / "port.mjs").write_text("")
    below = tmp_path / "below"
    below.mkdir()
    assert {"--check-command=node port.mjs --x", "--stage-name=js", "--stage-timeout=30"} < set(
        settled(table)
    )
    monkeypatch.setattr("pathlib.Path.cwd", lambda: below)
    monkeypatch.setattr("os.getcwd", lambda: str(below))
    assert "--check-command=node ../port.mjs --x" in settled(table)
    line = settled(table, "a:A")
    assert "--check=a:A" in line
    assert not [word for word in line if word.startswith(("--check-command", "--stage-"))]


def test_what_stands_after_two_dashes_goes_to_pytest(settled):
    assert settled("", "a:A", "--", "-n", "2", "--", "x")[-4:] == ["-n", "2", "--", "x"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[tool.dinov3-parity]\nprot = 'a:A'", "no option 'prot'. Its keys are port, command"),
        ("[tool.dinov3-parity]\nport = 3", "port = 3 is of another type. Write a string."),
        ("[tool.dinov3-parity]\nport = ['a:A']", "is of another type. Write a string."),
        ("[tool.dinov3-parity]\nvariant = [3]", "Write a string or a list of strings."),
        ("[tool.dinov3-parity]\nport = 'a:A'\nvariant = 'vits61'", "--variant vits61: known are"),
        ("[tool.dinov3-parity]\ncommand = 'a'\ntimeout = '3'", "Write a number."),
        ("[tool.dinov3-parity]\ncommand = 'a'\ntimeout = true", "Write a number."),
        ("[tool.dinov3-parity]\ncommand = 'a'\nport = 'a:A'", "are two ports"),
        ("[tool.dinov3-parity]\nname = 'a'\nport = 'a:A'", "is about a --command or an ONNX"),
        ("[tool]\ndinov3-parity = 3", "is no table"),
        ("[tool", "cannot be read"),
        ("", "Say which port"),
    ],
)
def test_a_table_that_says_nothing_is_told_in_a_paragraph(settled, capsys, tmp_path, table, says):
    assert settled(table, "--json", "v.json") is None
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and said.startswith("dinov3-parity: ")
    told = json.loads((tmp_path / "v.json").read_text())
    assert wrong(told, SCHEMA) == [] and says in told["error"]


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(
    settled, capsys, tmp_path, option
):
    (tmp_path / "file").write_text("")
    assert settled("", "a:A", option, "file/v") is None
    assert (
        f"{option} file/v cannot be written: File exists. Name a file in" in capsys.readouterr().err
    )
    assert settled("", "a:A", option, "new") is not None
    assert (tmp_path / "new").exists() == (option == "--json"), "what is tried leaves nothing"


# ONNX files


@pytest.fixture
def static(vits16, tmp_path):
    return exported(vits16, "static", tmp_path)


def test_an_onnx_file_holds_beside_the_weights_that_it_was_made_from(ran, static, vits16):
    """As its users say it; ``--weights`` is ``--checkpoint``."""
    release.write(vits16.checkpoint, ran.here / "meta.pth")
    words = ("--weights", "meta.pth", "--name", "shipped", "-k", "release", "--json", "-")
    shown = ran(str(static), *words)
    assert shown.code == 0, shown.err
    told = shown.told
    assert (told["verdict"], told["compared"], told["declared"]) == ("holds", 2, 2)
    assert [edge["stage"] for edge in told["edges"]] == ["shipped"]
    assert told["checkpoints"]["vits16"]["kind"] == "release"


@pytest.mark.thorough
def test_an_onnx_file_that_departs_ends_in_1_and_its_line_repeats_it(ran, static):
    by_tanh(static, ran.here / "my file.onnx")
    shown = ran(
        "my file.onnx", "-k", "outputs", "--json", "-", "--reproduce", "B1 14x14 seed=2",
        "--name", "mine",
    )  # fmt: skip
    assert shown.code == 1, shown.err
    first = shown.told["first_divergence"]
    assert first["stage"] == "mine" and first["ratio"] > 10 * first["limit"]
    assert {one["tap"] for one in first["departing"]} == {"cls", "patches", "pooled"}
    begins = "dinov3-parity check 'my file.onnx' --variant vits16 -k outputs --reproduce 'B1 14"
    assert first["repeat"].startswith(begins), first["repeat"]
    again = ran("--json", "-", *shlex.split(first["repeat"])[2:])
    assert again.code == 1, again.err
    assert again.told["first_divergence"]["stage"] == "mine"


def test_an_onnx_file_of_other_weights_could_not_be_held(ran, static, vits16):
    release.write(Synthetic(vits16.variant, 1), ran.here / "other.pth")
    shown = ran(str(static), "--weights", "other.pth", "--json", "-")
    assert shown.code == 2, shown.err
    assert "These are not the weights of " in shown.told["error"]
    assert "175 of 175 tensors differ" in shown.err and "--weights FILE" in shown.err
    assert shown.told["verdict"] == "could not run"


def test_a_text_is_no_onnx_file(ran):
    (ran.here / "model.onnx").write_text("an ONNX file")
    shown = ran("model.onnx", "--json", "-")
    assert shown.code == 2 and "is not an ONNX file, or is cut off" in shown.told["error"]
    assert "Traceback" not in shown.err


def test_an_onnx_file_of_the_table_lies_beside_it(settled, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("")
    table = "[tool.dinov3-parity]\nport = 'model.onnx'\nname = 'shipped'\n"
    assert {"--check=model.onnx", "--stage-name=shipped"} < set(settled(table))
    (tmp_path / "below").mkdir()
    monkeypatch.setattr("pathlib.Path.cwd", lambda: tmp_path / "below")
    monkeypatch.setattr("os.getcwd", lambda: str(tmp_path / "below"))
    assert "--check=../model.onnx" in settled(table)
