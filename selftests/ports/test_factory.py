"""Functions as ports: taps are found in what they make, and what they do wrong is told in a line."""

import json
from functools import partial

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs.torch_graph import TorchGraph
from dinov3_parity.fixtures.ports.factories import libraries
from dinov3_parity.fixtures.ports.factories.factory import FactoryPort, Steady
from dinov3_parity.fixtures.ports.factories.made import Made, Wrong, made_of, taps_of
from dinov3_parity.fixtures.ports.factories.words import from_words
from dinov3_parity.fixtures.ports.fitting import Takes
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.records import reader

from selftests.support.stages import factories
from selftests.support.stages.brought import given, in_a_paragraph

DRAWN, SQUARE = "B2 2x3 seed=1", "B2 3x3 seed=1"
VITS16 = VARIANTS["vits16"]


@pytest.fixture
def held(run_pytest, tmp_path):
    """What the layer ``local``, or whatever is asked for, finds of a factory on one input."""

    def hold(body, words="local", drawn=DRAWN):
        port = given(tmp_path, body, "factory.py", "make")
        asked = ("--stage", port, "-k", f"vits16 and make and {words}", "--reproduce", drawn)
        shown = run_pytest(*asked)
        found = reader.read(tmp_path / "report").found
        return shown, {(str(m.place), m.tap) for m in found if m.failed}, found

    return hold


@pytest.mark.thorough
def test_transformers_model_departs_at_its_own_tables_alone(held):
    pytest.importorskip("transformers")
    shown, departing, found = held(factories.TRANSFORMERS)
    assert departing == {("embed", "rope.sin"), ("embed", "rope.cos")}, shown.out
    assert len(found) == 2 + 2 + 12 * 16 + 1, "all but logits and probabilities, which are fused"
    assert all(m.runtime.endswith(", torch.export") for m in found)


@pytest.mark.thorough
def test_two_mistakes_in_two_blocks_are_both_named(held):
    """Thorough: alignment/test_search.py has two in a file, and the test before this one a factory that
    departs."""
    pytest.importorskip("transformers")
    shown, departing, _ = held(factories.TWO_MISTAKES)
    assert departing == {("block 2", "norm2"), ("block 7", "ffn.hidden")}, shown.out


@pytest.mark.thorough
def test_a_right_factory_holds(held, tmp_path):
    """Thorough: the next one holds as well, and the one before has all of it but the tables."""
    pytest.importorskip("transformers")
    shown, departing, found = held(factories.PERIODS, "not local")
    assert shown.code == 0 and not departing, shown.out
    assert {m.mode for m in found} == {"isolated", "chained"}
    absent = json.loads((tmp_path / "report" / "run.json").read_text())["stages"]["vits16 make"]
    why = absent["absent"]["block 0: attn.logits"]
    assert why.startswith("computed inside aten.scaled_dot_product_attention")


@pytest.mark.thorough
def test_a_jax_factory_holds(held):
    pytest.importorskip("equimo")
    shown, departing, found = held(factories.EQUIMO)
    assert shown.code == 0 and not departing, shown.out
    assert len(found) == 4 + 12 * 18 + 1 and all(m.runtime.startswith("jax ") for m in found)


@pytest.mark.thorough
def test_an_nnx_module_departs_at_the_eps_of_its_norms_alone(held):
    """Thorough: a run of twelve blocks, as the next one."""
    _has_nnx()
    shown, departing, found = held(factories.NNX, drawn=SQUARE)
    norms = {(f"block {i}", tap) for i in range(12) for tap in ("norm1", "norm2")}
    assert departing == {*norms, ("head", "norm")}, shown.out
    assert len(found) == 4 + 12 * 18 + 1, "every tap of an NNX module is found"


@pytest.mark.thorough
def test_an_nnx_module_with_meta_s_eps_holds(held):
    _has_nnx()
    shown, departing, found = held(factories.NNX_EPS, "not release", SQUARE)
    assert shown.code == 0 and not departing, shown.out
    assert {m.mode for m in found} >= {"local", "isolated", "chained"}


def _has_nnx():
    pytest.importorskip("flax", reason="flax is not installed, which jax2onnx brings")
    pytest.importorskip(
        "jax2onnx", reason="jax2onnx is not installed: pip install dinov3-parity[test]"
    )


# What a factory does wrong


def _port(folder, body):
    return from_words(given(folder, f"import torch\n\n{body}\n", "factory.py", "make"))


RETURNS = "def make(variant, checkpoint):\n    "


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"{RETURNS}pass", "returned None, which cannot be called. Return a torch.nn.Module"),
        (f"{RETURNS}raise KeyError('w')", r"raised KeyError: 'w', at .*factory.py:4, in make"),
        (f"{RETURNS}return lambda x: torch.zeros(1, 5)", r"returned an array \(1, 5\) for images"),
        (f"{RETURNS}return lambda x: (torch.zeros(1, 6, 384), 1)", "returned a tuple. Return every"),
        (f"{RETURNS}return lambda x: x @ torch.zeros(7, 7)", "the model of make raised RuntimeError"),
        (f"{RETURNS}return lambda x: dict(patches=torch.zeros(1, 1, 384))", "and no cls, by which"),
        (f"{RETURNS}return lambda x: dict(x=torch.zeros(3))", "returned a dict of x. Return every"),
        (f"{RETURNS}return len", "nothing says whether it takes torch tensors or JAX"),
    ],
)  # fmt: skip
def test_what_it_does_wrong_is_told_with_its_own_line(tmp_path, body, words):
    port = _port(tmp_path, body)
    with pytest.raises(ParityError, match=words) as told:
        port.opened(VITS16, Synthetic(VITS16))
    assert "factory.py" in in_a_paragraph(told.value)


def test_what_is_called_otherwise_is_refused_before_it_runs(tmp_path):
    with pytest.raises(ParityError, match=r"cannot be called with a variant and a checkpoint"):
        _port(tmp_path, "def make(variant):\n    pass")


def test_it_declares_what_a_class_would(tmp_path):
    port = _port(tmp_path, f"{RETURNS}pass\nmake.name, make.sizes = 'mine', [(224, 224)]")
    assert isinstance(port, FactoryPort) and port.name == "mine"
    assert port.takes == Takes(((14, 14),), ()) and not port.alone


def test_other_weights_are_told_as_such(tmp_path):
    pytest.importorskip("transformers")
    body = (
        "import transformers\n"
        "def make(variant, checkpoint):\n"
        "    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig()).eval()\n"
    )
    port = from_words(given(tmp_path, body, "factory.py", "make"))
    with pytest.raises(
        ParityError, match=r"175 of 175 tensors differ.*Put the checkpoint's"
    ) as told:
        port.check_weights(VITS16, Synthetic(VITS16))
    assert "factory.py:2" in in_a_paragraph(told.value)


# What came back


def test_the_framework_is_told_by_what_a_function_closes_over():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    eqx = pytest.importorskip("equinox")
    linear, other = torch.nn.Linear(2, 2), eqx.nn.Linear(2, 2, key=jax.random.key(0))
    for returned in (linear, linear.forward, lambda x: linear(x), partial(lambda m, x: x, linear)):
        made = made_of(returned)
        assert (made.framework, made.module) == ("torch", linear)
    for returned in (other, jax.vmap(other), jax.jit(lambda x: other(x)), lambda x: other(x)):
        made = made_of(returned)
        assert made.framework == "jax" and made.module is other
    assert made_of((len, linear)) == Made(len, linear, "torch")
    assert made_of(len, "jax").framework == "jax"
    with pytest.raises(Wrong):
        made_of(len)


def test_tokens_are_taken_out_of_what_a_model_returns():
    tokens = np.zeros((1, 6, 384))
    assert taps_of(tokens)["norm"] is tokens
    assert taps_of({"last_hidden_state": tokens, "pooler_output": tokens})["norm"] is tokens
    assert taps_of(type("Output", (), {"last_hidden_state": tokens}))["norm"] is tokens
    assert set(taps_of({"cls": tokens, "patches": tokens, "more": 1})) == {"cls", "patches"}


def test_operations_that_are_others_on_another_shape_are_told():
    graph = Steady(TorchGraph(lambda x: x * 2 if x.shape[-1] > 16 else x + 1))
    images = partial(np.zeros, dtype=np.float32)
    graph.run(images((1, 3, 16, 32)), graph.outputs() if graph.values() else [])
    with pytest.raises(ParityError, match=r"others on images \(1, 3, 16, 16\) .* make.sizes"):
        graph.run(images((1, 3, 16, 16)), [])


def test_a_library_that_is_not_there_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(libraries.extras, "installed", lambda name: "")
    with pytest.raises(ParityError, match=r"not installed here\. Install them: pip install"):
        from_words("transformers:DINOv3ViTModel")
    with pytest.raises(ParityError, match="for instance transformers:DINOv3ViTModel"):
        from_words("transformers:BertModel")


def test_a_librarys_model_is_filled_with_the_checkpoint():
    pytest.importorskip("transformers")
    port, checkpoint = from_words("transformers:DINOv3ViTModel"), Synthetic(VITS16)
    assert port.name == "transformers"
    port.check_weights(VITS16, checkpoint)
    stage = port.opened(VITS16, checkpoint)
    assert stage.features(np.zeros((1, 3, 16, 32), np.float32))["registers"].shape == (1, 4, 384)
