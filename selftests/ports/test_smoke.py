"""``dinov3-parity smoke``: what is wrong with a port before a number is looked at; both adapters."""

import shlex
import shutil
import subprocess
import sys

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.ports import reaper
from dinov3_parity.parity.records import reader

from selftests.conftest import ROOT
from selftests.support.stages.brought import NUMPY, spoiled
from selftests.support.talking import ADAPTER, command

HEAD = "def head(self, tokens):\n        shown = super().head(tokens)\n        return shown | {}"

#: A model without its blocks, which are most of what trying a port costs: numbers are not looked at here.
SHORT = "def features(self, images): return self.head(self.embed(images)['tokens'])"


def said(capsys, *words):
    code = main(["smoke", *words])
    return code, capsys.readouterr().out


def test_the_adapter_in_python_answers_as_a_port(capsys):
    code, out = said(capsys, "--command", shlex.join([sys.executable, str(ADAPTER), NUMPY]))
    assert code == 0 and out.endswith("smoke: numpy answers as a port\n"), out
    steps = [line.split("  ")[0] for line in out.splitlines()[:-1]]
    assert steps[:2] == ["describe", "start"] and steps[2:6] == [
        "embed",
        "block",
        "head",
        "features",
    ]
    assert steps[6:] == ["unknown verb", "stop", "end of input"] and "WRONG" not in out


def test_the_adapter_is_short_and_needs_numpy_alone():
    words = ADAPTER.read_text().splitlines()
    imported = {line.split()[1] for line in words if line.startswith(("import ", "from "))}
    assert len(words) <= 60 and imported - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize(
    ("lines", "step", "words"),
    [
        (HEAD.replace("{}", "{'cls': shown['cls'][:, 1:]}"), "head", "cls has the shape (2, 383)"),
        (HEAD.replace("{}", "{'cls': shown['cls'].astype(float)}"), "head", "cls is float64"),
        (
            HEAD.replace("{}", "{'cls': shown['cls'] * np.float32('nan')}"),
            "head",
            "cls is not finite",
        ),
        (HEAD.replace("{}", "{'cls': None}"), "head", "cls is not shown, nor declared absent"),
        (
            HEAD.replace("{}", "{'cls': shown['cls'] + np.random.rand(1).astype('f4')}"),
            "head",
            "cls was another when it was asked again",
        ),
        ("def embed(self, images): return 1 / 0", "embed", "ZeroDivisionError"),
    ],
)
def test_a_step_that_is_wrong_is_told_and_the_others_are_tried(
    capsys, tmp_path, lines, step, words
):
    lines = f"{lines}\n{SHORT}"
    own = spoiled(tmp_path, lines)
    (tmp_path / "port.py").write_text(f"import numpy as np\n{(tmp_path / 'port.py').read_text()}")
    (tmp_path / "apart").mkdir()
    for given in ([own], ["--command", command(tmp_path / "apart", lines)]):
        code, out = said(capsys, *given)
        wrong = [line for line in out.splitlines() if "WRONG" in line]
        assert code == 1 and wrong[0].startswith(step) and words in wrong[0], out
        assert "block         ok" in out and out.endswith("mine does not answer as a port\n")


@pytest.mark.parametrize(
    ("before", "step", "words"),
    [
        ("own = __main__.answered\n__main__.answered = lambda verb, *a: "
         "{} if verb == 'no-such-verb' else own(verb, *a)\n", "unknown verb", "it is answered"),
        ("own = __main__.answered\n__main__.answered = lambda verb, *a: "
         "time.sleep(60) if verb == 'stop' else own(verb, *a)\n", "stop", "within 3 seconds"),
        ("import atexit; atexit.register(time.sleep, 60)\n", "end of input", "was killed"),
        ("import atexit; atexit.register(lambda: os._exit(3))\n", "end of input", "exit code 3"),
    ],
    ids=["verb", "stop", "input", "code"],
)  # fmt: skip
def test_how_a_process_ends_and_what_it_does_not_know(
    capsys, tmp_path, monkeypatch, before, step, words
):
    if words == "was killed":  # none of its processes ends by itself, and each is waited for
        monkeypatch.setattr(reaper, "GRACE", 0.5)
    given = ("--command", command(tmp_path, SHORT, before=before), "--timeout", "3")
    code, out = said(capsys, *given)
    wrong = [line for line in out.splitlines() if "WRONG" in line]
    assert code == 1 and wrong[-1].startswith(step) and words in wrong[-1], out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Say which port"),
        (["a.py:A", "--command", "b"], "are two ports"),
        (["a.py:A", "--name", "b"], "is about a --command or an ONNX"),
        (["--command", "b", "--timeout", "0"], "above 0"),
    ],
)
def test_what_cannot_be_tried_ends_in_2(capsys, words, says):
    assert main(["smoke", *words]) == 2
    assert says in capsys.readouterr().err


# Ports that show what the whole model returns


def test_a_port_of_features_is_held_by_what_the_whole_model_returns(run_pytest, tmp_path):
    lines = (
        "absent = dict.fromkeys(['norm', 'registers', 'patches'], 'not returned')\n"
        "features_only = 'an exported file'\n"
        "def features(self, images):\n"
        "        whole = NumPyPort(self.variant, self.checkpoint).features(images)\n"
        "        return {tap: whole[tap] for tap in ('cls', 'pooled')}"
    )
    asked = ("--stage", spoiled(tmp_path, lines))
    shown = run_pytest(*asked, "-k", "vits16 and mine")
    assert shown.code == 0 and " 13 passed" in shown.out, shown.out
    assert "mine shows what the whole model returns (an exported file): that alone" in shown.out
    found = reader.read(tmp_path / "report").found
    assert {m.tap for m in found} == {"cls", "pooled"} and len({m.input for m in found}) > 2
    assert {m.layer for m in found} == {"whole", "metamorphic", "release"}
    none = run_pytest(*asked, "-k", "vits16 and mine and blocks")
    assert (
        none.code == pytest.ExitCode.USAGE_ERROR
        and "whole, metamorphic and release are" in none.out
    )


@pytest.mark.thorough
def test_what_features_need_not_return_is_compared_where_they_do(run_pytest, tmp_path):
    """Thorough: comparator/test_comparator.py has the rule, the test before this one a whole run."""
    lines = (
        "def features(self, images):\n"
        "        shown = super().features(images)\n"
        "        return {tap: shown[tap] for tap in ('cls', 'pooled')}"
    )
    asked = (
        "--stage",
        spoiled(tmp_path, lines),
        "-k",
        "vits16 and mine and (whole or metamorphic)",
    )
    shown = run_pytest(*asked)
    found = reader.read(tmp_path / "report").found
    assert shown.code == 0 and {m.tap for m in found} == {"cls", "pooled"}, shown.out
    assert f"compared {len(found):,} of {len(found):,} declared taps" in shown.out


def test_a_port_of_features_that_departs_is_found(run_pytest, tmp_path):
    lines = (
        "features_only = 'an exported file'\n"
        "def features(self, images):\n"
        "        return {k: v * np.float32(1.001) for k, v in super().features(images).items()}"
    )
    port = command(tmp_path, lines)
    shown = run_pytest("--stage-command", port, "-k", "vits16 and mine and whole")
    assert shown.code == pytest.ExitCode.TESTS_FAILED
    assert "mine departs from meta at norm" in shown.out, shown.out


@pytest.mark.parametrize("why", ["''", "True"])
def test_a_port_of_features_says_why(capsys, tmp_path, why):
    assert main(["smoke", spoiled(tmp_path, f"features_only = {why}")]) == 2
    assert "Write why nothing inside is shown" in capsys.readouterr().err


# The adapter in JavaScript


def _without_node():
    if not shutil.which("node"):
        return "no Node.js here"
    asked = ["node", "-e", "require('onnxruntime-node')"]
    if subprocess.run(asked, cwd=ROOT, capture_output=True).returncode:
        return (
            "Node.js finds no onnxruntime-node: npm install --prefix DIR onnxruntime-node, and "
            "NODE_PATH=DIR/node_modules"
        )
    return ""


@pytest.mark.skipif(bool(_without_node()), reason=_without_node() or "it is here")
@pytest.mark.parametrize(("form", "compared"), [("size", 32), ("static", 20)])
def test_the_adapter_in_javascript_is_a_port_and_holds(
    run_pytest, capsys, tmp_path, vits16, form, compared
):
    model = vits16.artifact("onnx", form).path / "model.onnx"
    port = shlex.join(["node", str(ROOT / "docs" / "examples" / "port.mjs"), str(model)])
    code, out = said(capsys, "--command", port)
    assert code == 0 and "WRONG" not in out, out
    shown = run_pytest("--stage-command", port, "-k", "vits16 and ort-node")
    assert shown.code == 0, shown.out
    assert f"compared {compared} of {compared} declared taps on 6 inputs" in shown.out
