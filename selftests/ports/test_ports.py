"""A port is held on every release, on what it takes; what is wrong with one is told in its own words."""

import re
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from dinov3_parity.fixtures.ports import fitting, ports
from dinov3_parity.fixtures.sweep.resume_point import Bookmark
from dinov3_parity.fixtures.pytest_plugin.collection import LAYERS
from dinov3_parity.fixtures.sweep.sweep import Member, carry
from dinov3_parity.fixtures.checkpoints.block_subset import Excerpt
from dinov3_parity.fixtures.ports.fitting import Takes
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports.ports import Port
from dinov3_parity.fixtures.reference.reference import Computed
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.parity.records import contract, measurement
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.comparator import Gauge
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.inputs.strategies import SQUARE
from dinov3_parity.parity.variants import VARIANTS
from dinov3_parity.parity.records.run_folder import MEASUREMENTS
from selftests.conftest import ROOT

NUMPY = "docs/examples/numpy_port.py:NumPyPort"
ONE = Input(1, (1, 1), 0)

#: A whole port, to be spoiled in one place.
PORT = f"""
import sys
sys.path.insert(0, {str(ROOT / "docs" / "examples")!r})
from numpy_port import NumPyPort

class Port(NumPyPort):
    name = "mine"
"""


def given(folder, body, name="port.py", attribute="Port"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    return f"{path}:{attribute}"


def spoiled(folder, lines):
    return given(folder, PORT + "".join(f"    {line}\n" for line in lines.split("\n")))


def in_a_paragraph(told):
    text = str(told)
    assert "\n" not in text and "Traceback" not in text and 20 < len(text) < 1500, text
    return text


# What a port is called


def named(name, told="--stage port.py:Port", path=Path("port.py")):
    return Port(name, "module", "Port", None, told=told, path=path)


@pytest.mark.parametrize("name", ["meta", "equimo", "mapped", "onnx", "nnx", "ONNX"])
def test_a_port_does_not_take_the_name_of_a_stage_of_the_suite(name):
    with pytest.raises(ParityError, match="as a stage of the suite itself is") as caught:
        ports.registered([named(name)], LAYERS)
    told = in_a_paragraph(caught.value)
    assert "--stage port.py:Port" in told and "another name" in told


@pytest.mark.parametrize(
    "name",
    [
        "my port",
        "2d",
        "",
        "tölpel",
        "a.b",
        "and",
        "OR",
        "not",
        "_x",
        "x\n",
        7,
        None,
        "vitl16",
        "blocks",
    ],
)
def test_a_name_that_the_command_line_cannot_say_is_refused(name):
    with pytest.raises(ParityError) as caught:
        ports.registered([named(name)], LAYERS)
    assert in_a_paragraph(caught.value).startswith("--stage port.py:Port is called ")


@pytest.mark.parametrize("name", ["mine", "My-Port_2", "metal", "notes"])
def test_other_names_are_free(name):
    assert list(ports.registered([named(name)], LAYERS)) == [name]


def test_two_ports_of_one_name_are_refused():
    with pytest.raises(ParityError) as caught:
        ports.registered(
            [named("mine"), named("Mine", "--stage other.py:Port", Path("other.py"))], LAYERS
        )
    told = in_a_paragraph(caught.value)
    assert "--stage port.py:Port" in told and "--stage other.py:Port" in told


def test_one_that_is_given_twice_is_one(tmp_path):
    words = spoiled(tmp_path, "word = 1")
    twice = [ports.from_path(words), ports.from_path(words)]
    assert list(ports.registered(twice, LAYERS)) == ["mine"]


def test_an_entry_point_is_named_as_what_it_is(monkeypatch):
    point = EntryPoint("onnx", "my_package.parity:MyPort", ports.GROUP)
    monkeypatch.setattr(ports, "entry_points", lambda group: [point])
    with pytest.raises(ParityError) as caught:
        ports.registered(ports.plugged(), LAYERS)
    told = in_a_paragraph(caught.value)
    assert "entry point onnx = my_package.parity:MyPort" in told and "Give its entry point" in told


def test_an_entry_point_that_cannot_be_imported_is_told_when_it_is_looked_at(monkeypatch):
    point = EntryPoint("mine", "no_such_package.parity:MyPort", ports.GROUP)
    monkeypatch.setattr(ports, "entry_points", lambda group: [point])
    (port,) = ports.registered(ports.plugged(), LAYERS).values()
    assert port.absent == {} and port.takes == Takes()
    with pytest.raises(ParityError, match="no_such_package") as caught:
        port.check()
    assert "entry point mine" in in_a_paragraph(caught.value)


@pytest.mark.parametrize("name", ["onnx", "my port"])
def test_a_bad_name_ends_a_run_before_it_begins(run_pytest, tmp_path, name):
    stage = spoiled(tmp_path, f"name = {name!r}")
    shown = run_pytest("--stage", stage, "-k", "vits16 and blocks")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert repr(name).strip("'") in shown.out and stage in shown.out
    assert "Traceback" not in shown.out and "Wrong expression" not in shown.out


# How a port is imported


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module", ["no_such_module", "port.py:1", "PYTHONPATH"]),
        ("x = 1\nraise RuntimeError('no licence')", ["RuntimeError: no licence", "port.py:2"]),
        ("class Port:\n    def", ["SyntaxError", "port.py:2"]),
        ("from . import other", ["imports relatively", "port.py:1", "__init__.py"]),
        ("import sys\nsys.exit('usage: port')", ["SystemExit: usage: port", "port.py:2"]),
        ("x = 1", ["has no Port"]),
        ("Port = 3", ["is no class"]),
        (
            "class Port:\n    def embed(self, images): ...\n    head = 3",
            ["port.py:1", "no block, no head, no features, no describe", "Add them"],
        ),
        ("class Port:\n    absent = ['attn.q']", ["no embed, no block"]),
    ],
)
def test_what_stands_in_the_way_of_an_import_is_told_with_its_line(tmp_path, body, words):
    with pytest.raises(ParityError) as caught:
        ports.from_path(given(tmp_path, body))
    told = in_a_paragraph(caught.value)
    assert all(word in told for word in ["--stage", *words]), told


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("absent = ['attn.q']", "no dict of taps to reasons"),
        ("absent = {'attn.p': 'fused'}", "what is no tap: attn.p"),
        ("absent = {'output': 'fused'}", "declares output absent"),
        ("sizes = 224", "sizes = 224"),
        ("sizes = []", "sizes = []"),
        ("sizes = [(224,)]", "multiple of 16"),
        ("sizes = [(100, 224)]", "multiple of 16"),
        ("batches = [0]", "batches = [0]"),
        ("batches = [True]", "batches = [True]"),
        ("batches = 4", "positive integers"),
    ],
)
def test_a_declaration_that_says_nothing_is_told(tmp_path, lines, words):
    with pytest.raises(ParityError) as caught:
        ports.from_path(spoiled(tmp_path, lines))
    assert words in in_a_paragraph(caught.value)


def test_a_module_of_a_package_is_imported_as_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    given(tmp_path, "", "a_whole_port/__init__.py")
    given(tmp_path, "", "a_whole_port/inner/__init__.py")
    given(tmp_path, "WORD = 'found'", "a_whole_port/words.py")
    body = PORT.replace("class Port", "from ..words import WORD\n\nclass Port")
    port = ports.from_path(
        given(tmp_path, body + "    word = WORD\n", "a_whole_port/inner/port.py")
    )
    assert (port.module, port.stage.word) == ("a_whole_port.inner.port", "found")
    before = port.code
    given(tmp_path, "WORD = 'other'", "a_whole_port/words.py")
    del port.__dict__["code"]
    assert port.code != before


def test_a_package_of_a_name_that_is_taken_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    given(tmp_path, "", "parity/__init__.py")
    with pytest.raises(ParityError, match="package parity, and another of that name") as caught:
        ports.from_path(given(tmp_path, PORT, "parity/port.py"))
    in_a_paragraph(caught.value)


def test_two_files_of_one_name_are_two_modules(tmp_path):
    one = ports.from_path(given(tmp_path / "a", PORT + "    word = 1\n"))
    two = ports.from_path(given(tmp_path / "b", PORT + "    word = 2\n"))
    assert (one.stage.word, two.stage.word) == (1, 2)


# What a port's own code does


def opened(folder, store, lines, streamed=False):
    variant = VARIANTS["vits16"]
    part = Excerpt(Synthetic(variant), (0, 6))
    port = ports.from_path(spoiled(folder, lines))
    return Pipeline(part.variant, part, store, (port,), streamed=streamed).stage(port.name)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "def __init__(self, *_):\n        self.x = {}['weight']",
            "__init__ of Port raised KeyError",
        ),
        ("def __init__(self): ...", "__init__ of Port raised TypeError"),
        ("def describe(self): return None", "returned a NoneType. Return what it runs on"),
        ("def describe(self): return {}", "returned a dict without a runtime"),
        ("def describe(self): return {'runtime': 3}", "returned a dict without a runtime"),
        ("def describe(self): return 1 / 0", "describe() of Port raised ZeroDivisionError"),
    ],
)
def test_what_does_not_open_is_told_with_its_line(tmp_path, store, lines, words):
    with pytest.raises(ParityError) as caught:
        opened(tmp_path, store, lines)
    told = in_a_paragraph(caught.value)
    assert words in told and re.search(r"port\.py:\d+", told), told
    assert "fixtures/" not in told


CALLS = {
    "embed": lambda stage: stage.embed(ONE.images()),
    "block": lambda stage: stage.block(1, np.zeros((1, 6, 384), np.float32), (1, 1)),
    "head": lambda stage: stage.head(np.zeros((1, 6, 384), np.float32)),
    "features": lambda stage: stage.features(ONE.images()),
}


@pytest.mark.parametrize("method", list(CALLS))
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return {}['no such weight']", "raised KeyError: 'no such weight', at "),
        ("return [1, 2]", "returned a list. Return a dict"),
        ("return None", "returned a NoneType. Return a dict"),
        (
            "import torch; return {'tokens': torch.zeros(1), 'cls': torch.zeros(1)}",
            "returned a torch.Tensor for tokens, cls. Return NumPy float32 arrays",
        ),
        ("import sys; sys.exit(3)", "raised SystemExit: 3, at "),
    ],
)
def test_what_a_method_does_wrong_is_told_with_its_line(tmp_path, store, method, body, words):
    stage = opened(tmp_path, store, f"def {method}(self, *given):\n        {body}")
    with pytest.raises(ParityError) as caught:
        CALLS[method](stage)
    told = in_a_paragraph(caught.value)
    assert words in told and f"mine: {method}() of Port" in told
    assert re.search(r"port\.py:9, in" if "raised" in words else r"port\.py:8\)", told), told


def test_the_deepest_line_of_the_port_is_named_and_not_a_librarys(tmp_path, store):
    lines = (
        "def head(self, tokens):\n"
        "        return self._deeper()\n"
        "def _deeper(self):\n"
        "        import json; return json.loads('{')"
    )
    with pytest.raises(ParityError, match=r"port\.py:11, in _deeper"):
        opened(tmp_path, store, lines).head(np.zeros((1, 6, 384), np.float32))


def test_what_a_chain_goes_on_from_is_missed_in_words(tmp_path, store):
    stage = opened(tmp_path, store, "def embed(self, images): return {}")
    shown = stage.embed(ONE.images())
    assert shown.get("patch_embed") is None
    with pytest.raises(ParityError, match="returned no tokens"):
        shown["tokens"]


def test_a_port_may_write_into_what_it_is_given(tmp_path, store):
    lines = "def head(self, tokens):\n        tokens *= 0\n        return {'norm': tokens}"
    tokens = np.ones((1, 6, 384), np.float32)
    assert not opened(tmp_path, store, lines).head(tokens)["norm"].any() and tokens.all()


BROKEN = """
@property
def trouble(self): raise OSError("no such device")
def block(self, i, tokens, grid):
        return self.trouble if grid[1] > 1 else super().block(i, tokens, grid)
""".strip()


def test_a_port_that_raises_in_a_run_fails_in_its_own_words(run_pytest, tmp_path):
    stage = spoiled(tmp_path, BROKEN)
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine and blocks")
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "mine: block() of Port raised OSError: no such device, at " in shown.out
    assert "port.py:9, in trouble" in shown.out
    for ours in ("Traceback", "fixtures/", "INTERNALERROR", "parity/comparator.py", "Falsifying"):
        assert ours not in shown.out.replace("fixtures/ported", ""), shown.out
    line = next(one for one in shown.out.splitlines() if one.startswith("Reproduce: "))
    again = run_pytest(*shlex.split(line.removeprefix("Reproduce: pytest ")))
    assert again.code == pytest.ExitCode.TESTS_FAILED
    assert "no such device" in again.out


def test_a_port_that_lacks_methods_is_told_before_anything_runs(run_pytest, tmp_path):
    stage = given(tmp_path, "class Port:\n    def embed(self, images): ...")
    for more in ((), ("-n", "2")):
        shown = run_pytest("--stage", stage, "-k", "vits16 and port", *more)
        assert shown.code == pytest.ExitCode.USAGE_ERROR
        assert "no block, no head, no features, no describe" in shown.out
        assert "INTERNALERROR" not in shown.out and "Traceback" not in shown.out


def test_taps_declared_absent_are_missed_by_no_layer(run_pytest, tmp_path):
    stage = spoiled(
        tmp_path,
        "absent = {'residual1': 'the sum is fused', 'attn.probs': 'fused'}\n"
        "def block(self, i, tokens, grid):\n"
        "        shown = super().block(i, tokens, grid)\n"
        "        return {k: v for k, v in shown.items() if k not in self.absent}",
    )
    shown = run_pytest(
        "--stage", stage, "-k", "vits16 and mine and (blocks or backbone)",
        "--reproduce", "B1 1x1 seed=0",
    )  # fmt: skip
    assert shown.code == 0, shown.out
    whole = 12 * 19 + 12 * 3 + 5
    assert f"compared {whole - 36} of {whole - 36} declared taps" in shown.out


# Large variants


def test_a_block_of_a_streamed_port_is_the_block_of_the_whole_model(tmp_path, store):
    (tmp_path / "a").mkdir()
    whole = opened(tmp_path, store, "word = 1")
    alone = opened(tmp_path, store, "word = 1", streamed=True)
    tokens = whole.embed(ONE.images())["tokens"]
    assert np.array_equal(alone.embed(ONE.images())["tokens"], tokens)
    for i in (0, 1):
        shown, expected = (one.block(i, tokens, (1, 1)) for one in (alone, whole))
        assert expected.keys() == shown.keys()
        assert all(np.array_equal(shown[tap], expected[tap]) for tap in expected)
    assert np.array_equal(alone.head(tokens)["cls"], whole.head(tokens)["cls"])


def test_a_streamed_port_holds_one_block_and_lets_it_go(tmp_path, store):
    lines = (
        "held, made = set(), []\n"
        "def __init__(self, variant, checkpoint):\n"
        "        super().__init__(variant, checkpoint)\n"
        "        assert variant.depth == 1 and 'blocks.1.ls1.gamma' not in checkpoint\n"
        "        self.made.append(variant.numbers)\n"
        "        self.held.add(self.made[-1])\n"
        "def __del__(self): self.held.discard(self.variant.numbers)"
    )
    stage = opened(tmp_path, store, lines, streamed=True)
    own, tokens = stage.port.stage, np.zeros((1, 6, 384), np.float32)
    stage.rest()
    for i in (0, 1):
        stage.block(i, tokens, (1, 1))
        stage.block(i, tokens, (1, 1))
        assert len(own.held) == 1
        stage.rest()
        assert not own.held
    stage.head(tokens)
    assert own.made == [(0,), (0,), (6,), (6,)]


def test_an_interrupted_pass_of_a_streamed_port_is_taken_up_where_it_stood(tmp_path, store):
    def travelling(taken, lines):
        stage = opened(tmp_path / lines[:4], store, lines, streamed=True)
        declared = contract.declared("reference", stage.variant, "mine")
        gauge = Gauge(stage.variant, "mine", "streamed", "", declared, taken.extend)
        reference = Computed(stage.variant, stage.checkpoint, ONE, forgets=True)
        return Member(gauge, stage), reference

    stops = (
        "stop = 6\n"
        "def block(self, i, tokens, grid):\n"
        "        if self.variant.numbers == (self.stop,):\n"
        "            raise KeyboardInterrupt\n"
        "        return super().block(i, tokens, grid)"
    )
    bookmark, whole, after = Bookmark(tmp_path / "mark.safetensors"), [], []
    member, reference = travelling(whole, "word = 1")
    carry(member, (), reference)
    member, reference = travelling([], stops)
    with pytest.raises(KeyboardInterrupt):
        carry(member, (), reference, bookmark=bookmark)
    assert bookmark.found().done == 2, "the embedding and a block"
    member, reference = travelling(after, "not_first = 1")
    asked = []
    block = member.stage.block
    member.stage.block = lambda i, *given: asked.append(i) or block(i, *given)
    carry(member, (), reference, bookmark=bookmark)
    assert asked == [1, 1] and sorted(map(str, after)) == sorted(map(str, whole))
    member.gauge.hold()


def test_a_port_is_held_on_a_large_variant(run_pytest, tmp_path):
    shown = run_pytest("-k", "vitl16 and numpy", "--stage", NUMPY)
    assert shown.code == 0, shown.out
    assert "compared 80 of 80 declared taps" in shown.out and "vitl16: numpy holds" in shown.out
    found = list(measurement.read(tmp_path / "report" / MEASUREMENTS))
    assert {m.block for m in found} == {None, 0, 12, 23}
    assert {(m.stage, m.mode) for m in found} == {("numpy", "isolated"), ("numpy", "chained")}


# What a port takes


def test_an_input_that_a_port_takes_stays_as_it_is():
    takes = Takes(((14, 14), (2, 3)), (1, 4))
    assert takes.fitted(SQUARE) == SQUARE
    assert Takes().fitted(Input(3, (5, 7), 9)) == Input(3, (5, 7), 9)


def test_other_inputs_are_made_one_of_what_it_takes_by_their_seed():
    takes = Takes(((14, 14), (2, 3)), (1, 4))
    drawn = [Input(2, (1, 7), seed, "hot", 10.0) for seed in range(8)]
    fitted = [takes.fitted(one) for one in drawn]
    assert fitted == [takes.fitted(one) for one in drawn]
    assert {(one.grid, one.batch) for one in fitted} == {
        (grid, batch) for grid in takes.grids for batch in takes.batches
    }
    assert [takes.fitted(one) for one in fitted] == fitted
    assert all((one.content, one.scale) == ("hot", 10.0) for one in fitted)


def test_stages_of_the_suite_take_every_input(vits16):
    drawn = Input(3, (5, 7), 9)
    assert all(fitting.fitted(entry, drawn) == drawn for entry in vits16.entries.values())


STATIC = """
sizes, batches = [(48, 32)], (2,)
def embed(self, images):
        assert images.shape == (2, 3, 48, 32), images.shape
        return super().embed(images)
""".strip()


def test_a_port_is_given_what_it_takes_and_nothing_else(run_pytest, tmp_path):
    stage = spoiled(tmp_path, STATIC)
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine")
    assert shown.code == 0, shown.out
    found = list(measurement.read(tmp_path / "report" / MEASUREMENTS))
    assert {(m.batch, m.grid) for m in found} == {(2, (3, 2))}
    assert {m.layer for m in found} == {"primitives", "blocks", "backbone", "release"}
    per_input = 4 + 5 + 12 * 19 + 12 * 3 + 5
    seeds = {m.seed for m in found}
    count = len({(m.input) for m in found})
    assert len(seeds) > 1 and len(found) == count * per_input + 2
    assert f"compared {len(found):,} of {len(found):,} declared taps" in shown.out


def test_the_line_that_repeats_a_failure_names_what_the_port_was_given(run_pytest, tmp_path):
    wrong = (
        "def head(self, tokens):\n"
        "        shown = super().head(tokens)\n"
        "        shown['norm'][0, 0, 0] += 1\n"
        "        return shown"
    )
    stage = spoiled(tmp_path, f"{STATIC}\n{wrong}")
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine and primitives")
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert re.search(r"Reproduce: pytest .* --reproduce 'B2 3x2 seed=\d+", shown.out), shown.out


def test_an_input_that_a_port_does_not_take_is_not_reproduced(run_pytest, tmp_path):
    stage = spoiled(tmp_path, STATIC)
    selected = ("--stage", stage, "-k", "vits16 and mine and primitives")
    shown = run_pytest(*selected, "--reproduce", "B1 1x1 seed=0")
    assert shown.code == pytest.ExitCode.USAGE_ERROR, shown.out
    assert "mine does not take it, its class declares sizes 48x32 and batches 2" in shown.out
    assert "'B2 3x2 seed=0'" in shown.out and "Traceback" not in shown.out
    shared = run_pytest(*selected, "--reproduce", "B1 1x1 seed=0", "-n", "1")
    assert shared.code == pytest.ExitCode.TESTS_FAILED
    assert "mine does not take it" in shared.out and "Traceback" not in shared.out
    assert run_pytest(*selected, "--reproduce", "B2 3x2 seed=0").code == 0


def test_frameworks_are_told_what_they_need_before_a_port_imports_them(run_pytest, tmp_path):
    body = "import os\nassert os.environ['JAX_DEFAULT_MATMUL_PRECISION'] == 'highest'\n" + PORT
    shown = run_pytest("--stage", given(tmp_path, body), "--collect-only", "-q", "-k", "mine")
    assert shown.code == 0, shown.out
