"""A port in a process of its own: what it does wrong is told with its command, and nothing is left."""

import ast
import gc
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from dinov3_parity.fixtures.ports.command import NoAnswer, from_command
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.inputs.chosen import SMALL
from dinov3_parity.parity.records import reader

from selftests.conftest import ROOT
from selftests.same_measurements import main as same
from selftests.support.processes import environment
from selftests.support.stages.brought import NUMPY, ONE, in_a_paragraph
from selftests.support.talking import ADAPTER, command, opened

TOKENS = np.ones((1, 6, 384), np.float32)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """No folder of a conversation, and no process."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    before = set(psutil.Process().children(recursive=True))
    yield place
    gc.collect()  # an exception that a test caught holds the port; a run holds it to its end
    assert [one for one in psutil.Process().children(recursive=True) if one not in before] == []
    assert list(place.iterdir()) == []


def wrong(method, words):
    return f"def {method}(self, *given):\n        {words}"


SPOILED = "shown = super().head(*given); np.save = lambda path, x, **_: {}; return shown"
NAMED = (
    "dumps = __main__.json.dumps; "
    "__main__.json.dumps = lambda told: dumps(told | {{'taps': {}}}); return {{}}"
)

#: What goes wrong while the head is asked for, and what is said of it.
WRONG = {
    "crash": (
        "print('a\\nno such device', file=sys.stderr, flush=True); os._exit(3)",
        "ended with exit code 3 and did not answer; the last that it printed to standard error: "
        "a | no such device.",
    ),
    "kill": ("os.kill(os.getpid(), 9)", "was ended by signal 9 and did not answer; it printed nothing"),
    "garbage": (
        "__main__.answers.write('Loading model\\n'); return {}",
        "printed what is no line of the protocol: 'Loading model'. Its standard output is the "
        "protocol's alone: print to standard error",
    ),
    "another's answer": (
        "__main__.answers.write('{\"id\": 1}\\n'); return {}",
        'answered {"id": 1} to the line with id',
    ),
    "no object": ("__main__.answers.write('[1]\\n'); return {}", "no line of the protocol: '[1]'"),
    "error": ("return 1 / 0", "answered with an error: ZeroDivisionError: division by zero, at "),
    "no taps": (NAMED.format(3), "answered head without taps"),
    "short array": (
        SPOILED.format("(save(path, x), os.truncate(path, os.path.getsize(path) - 8))"),
        "holds 9,208 bytes of numbers where its header, float32 (1, 6, 384), says 9,216: write it",
    ),
    "pickle": (
        SPOILED.format("save(path, np.array([{}]), allow_pickle=True)"),
        "which holds pickled objects; it was not opened",
    ),
    "no npy": (SPOILED.format("open(path, 'w').write('0.5')"), "which is no .npy"),
    "link": (SPOILED.format("os.symlink('/etc/hostname', path)"), "is a link; it was not opened"),
    "folder": (SPOILED.format("os.mkdir(path)"), "which is no regular file"),
    "root": (NAMED.format("{'norm': '/etc/hostname'}"), "the file '/etc/hostname', which is not in"),
    "above": (NAMED.format("{'norm': '../x.npy'}"), "the file '../x.npy', which is not in"),
    "no file": (NAMED.format("{'norm': 'x.npy'}"), "cannot be read: No such file or directory"),
    "no name": (NAMED.format("{'norm': 3}"), "named for norm 3 in place of a file's name"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(WRONG))
def test_what_a_process_does_wrong_is_told_and_what_is_asked_next_is_answered(tmp_path, what):
    """Told with its command; answered by a new process, where that one cannot be trusted any more."""
    body, words = WRONG[what]
    stage = opened(tmp_path, wrong("head", body))
    before = stage.embed(ONE.images())
    with pytest.raises(ParityError) as caught:
        stage.head(TOKENS)
    told = in_a_paragraph(caught.value)
    assert words in told, told
    assert told.startswith(f"mine: asked for head, `{stage.port.command}` ")
    after = stage.embed(ONE.images())
    assert after.keys() == before.keys() and "tokens" in after
    assert all(np.array_equal(after[tap], before[tap]) for tap in before)


def test_a_hang_ends_with_the_bound(tmp_path):
    stage = opened(tmp_path, wrong("head", "time.sleep(600)"), bound=2)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="did not answer within 2 seconds, and was killed"):
        stage.head(TOKENS)
    assert 2 <= time.monotonic() - began < 10


def test_after_a_hang_it_is_asked_nothing_more_whatever_opens_it(tmp_path):
    """Each question would cost the bound again; of a large variant each block is a process of its own."""
    stage = opened(tmp_path, wrong("head", "time.sleep(600)"), bound=2)
    with pytest.raises(NoAnswer):
        stage.head(TOKENS)
    for again in (
        lambda: stage.embed(ONE.images()),
        lambda: stage.port.opened(stage.variant, stage.checkpoint),
    ):
        with pytest.raises(NoAnswer) as caught:
            again()
        told = in_a_paragraph(caught.value)
        assert (
            "gets no more questions in this run: asked for head, it gave no answer within 2" in told
        )


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("own = __main__.answered\n__main__.answered = lambda *a: own(*a) | {'protocol': 2}\n",
         "answered its first line with protocol 2, and this suite speaks 1"),
        ("__main__.answered = lambda *_: {}\n", "answered its first line with no protocol"),
        ("raise OSError('no licence')\n", "OSError: no licence"),
        ("print('hello', file=__main__.answers)\n", "no line of the protocol: 'hello'"),
        ("time.sleep(600)\n", "did not answer within 2 seconds"),
    ],
    ids=["version", "no version", "no import", "greeting", "hang"],
)  # fmt: skip
def test_what_does_not_begin_as_a_port_is_told_before_anything_runs(tmp_path, before, words):
    with pytest.raises(ParityError) as caught:
        from_command(command(tmp_path, before=before), bound=2)
    assert words in in_a_paragraph(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [("no-such-program-here", "could not be started"), ("'", "cannot be read"), (" ", "is empty")],
)
def test_a_command_that_is_none_is_told(words, says):
    with pytest.raises(ParityError, match=says):
        from_command(words)


def test_what_a_port_declares_is_heard(tmp_path):
    lines = "sizes, batches = [(48, 32)], [2]\nabsent = {'norm1': 'fused'}"
    port = from_command(command(tmp_path, lines))
    assert port.name == "mine" and port.takes.told == "sizes 48x32 and batches 2"
    assert port.hidden() == {"norm1": "fused"}
    assert from_command(command(tmp_path, lines), "other").name == "other"
    with pytest.raises(ParityError, match="sizes = "):
        from_command(command(tmp_path, "sizes = 3"))


def test_what_a_port_prints_is_no_answer(tmp_path):
    loud = wrong("head", "print('hello'); os.system('echo hello'); return super().head(*given)")
    assert "cls" in opened(tmp_path, loud).head(TOKENS)


def test_the_files_of_an_answer_are_gone_when_it_is_read(tmp_path, nothing_is_left):
    stage = opened(tmp_path)
    stage.head(TOKENS)
    (folder,) = nothing_is_left.iterdir()
    assert sorted(one.name for one in folder.iterdir()) == ["stderr", "weights"]


RUNS = """
import sys, tempfile, threading, numpy as np
from pathlib import Path
from selftests.support.talking import opened
stage = opened(Path(sys.argv[1]), "def head(self, *_): time.sleep(600)")
print("asked", flush=True)
stage.head(np.ones((1, 6, 384), np.float32))
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_where_the_suite_is_ended(tmp_path, nothing_is_left, by):
    own = environment() | {"TMPDIR": str(nothing_is_left)}
    own["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "fixtures" / "package", ROOT)))
    run = subprocess.Popen(
        [sys.executable, "-c", RUNS, str(tmp_path)], cwd=ROOT, env=own, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with run:
        assert run.stdout.readline() == "asked\n"
        time.sleep(0.5)
        others = psutil.Process(run.pid).children(recursive=True)
        assert len(others) == 2, "the port, and what outlives the suite"
        run.send_signal(by)
    until = time.monotonic() + 20
    while time.monotonic() < until and (psutil.wait_procs(others, 0.1)[1]):
        pass
    assert psutil.wait_procs(others, 1)[1] == []


def test_the_documents_examples_need_nothing_of_the_suite():
    """They stand in an environment of the port's own."""
    for path, needs in (
        (ADAPTER, {"numpy"}),
        (ADAPTER.parent / "numpy_port.py", {"numpy", "scipy"}),
    ):
        lines = ast.walk(ast.parse(path.read_text()))
        found = [one for one in lines if isinstance(one, ast.Import | ast.ImportFrom)]
        names = [getattr(one, "module", None) or one.names[0].name for one in found]
        assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == needs, path


# In a run

CRASHES = """
def block(self, i, tokens, grid):
        {} if grid[1] > 1 else None
        return super().block(i, tokens, grid)
""".strip()


def test_a_crash_in_a_run_is_that_ports_failure_and_the_run_goes_on(run_pytest, tmp_path):
    words = command(tmp_path, CRASHES.format("os._exit(3)"))
    shown = run_pytest("--stage-command", words, "-k", "vits16 and mine and (primitives or blocks)")
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "ended with exit code 3" in shown.out and "1 failed, 2 passed" in shown.out
    for ours in ("Traceback", "fixtures/ports", "INTERNALERROR", "Falsifying"):
        assert ours not in shown.out, shown.out
    assert "vits16: mine was compared against meta in part: " in shown.out
    assert "declared and not compared: " in shown.out and "holds" not in shown.out, shown.out
    first = verdict_in(tmp_path)
    assert (first["exit"], first["edges"][0]["verdict"]) == (1, "incomplete")
    assert first["headline"] == "vits16: mine itself failed, and was not compared in full"
    assert {(gap["variant"], gap["stage"]) for gap in first["missing"]} == {("vits16", "mine")}
    line = next(one for one in shown.out.splitlines() if one.startswith("Reproduce: "))
    again = run_pytest(*shlex.split(line.removeprefix("Reproduce: pytest ")))
    assert again.code == pytest.ExitCode.TESTS_FAILED and "exit code 3" in again.out, again.out
    alone = verdict_in(tmp_path)
    assert (alone["exit"], alone["compared"], alone["error"]) == (1, 0, ""), "whatever is selected"


def verdict_in(folder):
    return json.loads((folder / "report" / "verdict.json").read_text())


def test_a_hang_costs_its_bound_once_a_run(run_pytest, tmp_path):
    words = command(tmp_path, CRASHES.format("time.sleep(600)"))
    selected = "vits16 and mine and (blocks or release)"
    shown = run_pytest("--stage-command", words, "--stage-timeout", "4", "-k", selected)
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "did not answer within 4 seconds" in shown.out and "Reproduce: pytest" in shown.out
    assert "asked for features" in shown.out and "gets no more questions in this run" in shown.out
    assert "--stage-timeout=4.0" in shown.out
    (seconds,) = re.findall(r"2 failed, .* in ([\d.]+)s", shown.out)
    assert 4 <= float(seconds) < 8, "a second input is not tried"
    told = verdict_in(tmp_path)
    assert told["exit"] == 1 and len(told["missing"]) == 7, "the rest is not compared"


def test_what_is_no_port_ends_a_run_before_it_begins(run_pytest, tmp_path):
    words = command(tmp_path, before="raise OSError('no licence')\n")
    shown = run_pytest("--stage-command", words, "-k", "vits16 and mine")
    assert shown.code == pytest.ExitCode.USAGE_ERROR and "no licence" in shown.out
    assert "INTERNALERROR" not in shown.out


def test_arrays_of_another_shape_and_dtype_are_the_comparisons_words(run_pytest, tmp_path):
    lines = (
        "def head(self, tokens):\n"
        "        shown = super().head(tokens)\n"
        "        return shown | {'cls': shown['cls'][:, 1:], 'norm': shown['norm'].astype(float)}"
    )
    words = command(tmp_path, lines)
    shown = run_pytest(
        "--stage-command", words, "-k", "vits16 and mine and primitives",
        "--reproduce", str(SMALL),
    )  # fmt: skip
    assert shown.code == pytest.ExitCode.TESTS_FAILED
    problems = {m.tap: m.problem for m in reader.read(tmp_path / "report").found if m.problem}
    assert "shape" in problems["cls"] and "float64" in problems["norm"]


@pytest.mark.thorough
def test_a_port_measures_the_same_bits_in_its_own_process(run_pytest, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "OPENBLAS_NUM_THREADS", "1"
    )  # sums are another with another number of threads
    selected = ("-k", "vits16 and numpy", "--reproduce", str(SMALL))
    assert run_pytest("--stage", NUMPY, *selected).code == 0
    (tmp_path / "report").rename(tmp_path / "before")
    words = shlex.join([sys.executable, str(ADAPTER), NUMPY])
    shown = run_pytest("--stage-command", words, *selected)
    assert shown.code == 0, shown.out
    assert same([str(tmp_path / "before"), str(tmp_path / "report")]) == 0
    told = json.loads((tmp_path / "report" / "run.json").read_text())
    assert told["contract"]["compared"] > 270
