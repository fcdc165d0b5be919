"""A JAX callable's primitives: each value is what it computes, and what is given in its place is used."""

from __future__ import annotations

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dinov3_parity.fixtures.graphs import pytrees
from dinov3_parity.fixtures.graphs.jax_graph import UNROLLED, JaxGraph
from dinov3_parity.parity.errors import ParityError

from selftests.graphs.held import EQUAL, first, images, one


@jax.custom_jvp
def gelu(x):
    return 0.5 * x * (1 + jax.lax.erf(x / np.sqrt(2).astype("f4")))


gelu.defjvp(lambda primals, tangents: (gelu(*primals), tangents[0]))


class Block(eqx.Module):
    linear: eqx.nn.Linear
    scale: np.ndarray

    @eqx.filter_jit
    def __call__(self, x):
        return gelu(self.linear(x)) * self.scale


class Model(eqx.Module):
    """Blocks that are compiled by themselves, under ``vmap``; a table that is no parameter; a scan."""

    blocks: list[Block]
    table: jax.Array
    unused: jax.Array

    def __init__(self):
        keys = jax.random.split(jax.random.key(0), 2)
        scale = np.arange(1, 4, dtype="f4")
        self.blocks = [Block(eqx.nn.Linear(3, 3, key=k), scale + i) for i, k in enumerate(keys)]
        self.table, self.unused = jnp.ones(3), jnp.zeros(2)

    def __call__(self, images):
        x = jax.vmap(lambda image: image.mean((1, 2)))(images)
        for block in self.blocks:
            x = x + jax.vmap(block)(x)
        x = jax.checkpoint(lambda v: jax.nn.relu(v) + self.table)(x)
        total, steps = jax.lax.scan(lambda c, v: (c + v, c * 2), x, jnp.arange(3.0), reverse=True)
        a, b = jnp.split(total, [1], axis=-1)
        signed = jax.lax.cond(a.sum() > 0, lambda v: v * 3, lambda v: -v, b)
        return {"steps": steps, "signed": signed, "parts": (a, None), "two": 2.0 * jnp.ones(())}


@pytest.fixture(scope="module")
def model():
    return Model()


@pytest.fixture(scope="module")
def graph(model):
    graph = JaxGraph(model)
    graph.run(images(), [])
    return graph


def test_outputs_are_the_calls_and_looking_at_them_changes_none(graph, model):
    assert list(graph.returned) == ["['parts'][0]", "['signed']", "['steps']", "['two']"]
    for effect in graph.effect(images()):
        assert effect.again.equal and effect.alone.largest < 1e-6 > effect.watched.largest
    own = jax.tree.leaves(model(jnp.asarray(images())))
    shown = graph.run(images(), graph.outputs())
    for name, value in zip(graph.outputs(), own, strict=True):
        np.testing.assert_allclose(shown[name], value, rtol=1e-6)


def test_every_value_comes_with_those_it_is_computed_from_before_it(graph):
    values = graph.values()
    names = [value.name for value in values]
    assert len(set(names)) == len(names) and set(graph.parameters()) < set(names)
    for i, value in enumerate(values):
        assert set(value.inputs) <= set(names[:i])
    assert set(graph.run(images(), names)) == set(names)


def test_names_are_places_and_the_same_for_the_same_program(graph):
    names = [value.name for value in graph.values()]
    again = JaxGraph(Model())
    again.run(images(), [])
    assert [value.name for value in again.values()] == names
    # A block's own jit, and in it the function with a derivative of its own.
    within = [name for name in names if name.count("/") == 2 and name.endswith(":erf")]
    assert len(within) == 2 and all("custom_jvp_call" in name for name in within)
    assert within[0] != within[1]
    assert next(name for name in names if name.endswith(":dot_general")).startswith("__call__")


def test_values_have_primitive_module_and_the_models_own_line(graph):
    product = first(graph, "dot_general")
    file, line = product.source.split(":")
    text = Path(__file__).read_text().splitlines()[int(line) - 1]
    assert file.endswith("test_jax_graph.py") and "gelu(self.linear(x))" in text
    assert product.module.endswith("eqx.nn.Linear")
    # A function of JAX's own is shown where this model calls it, whoever traced it first.
    largest = one(graph, "max")
    line = int(largest.source.split(":")[1])
    assert "jax.nn.relu" in Path(__file__).read_text().splitlines()[line - 1]


def test_a_scan_is_unrolled_and_its_steps_have_names(graph):
    adds = [v.name for v in graph.values() if v.name.startswith("scan.") and v.operator == "add"]
    assert [name.split("[")[1][0] for name in adds] == ["2", "1", "0"]  # it runs in reverse
    shown = graph.run(images(), [*adds, graph.returned["['steps']"]])
    steps = shown[graph.returned["['steps']"]]
    assert np.array_equal(steps[1], shown[adds[0]] * 2)
    assert np.array_equal(shown[adds[1]], shown[adds[0]] + 1)


def test_a_long_scan_a_loop_and_a_branch_are_values_as_a_whole(graph):
    assert one(graph, "cond").name == graph.returned["['signed']"]

    def call(x):
        x, _ = jax.lax.scan(lambda c, _: (c + 1, None), x.sum(), length=UNROLLED + 1)
        return jax.lax.while_loop(lambda c: c < 100, lambda c: c * 2 + 1, x)

    long = JaxGraph(call)
    shown = long.run(images(), [])
    operators = [value.operator for value in long.values()]
    assert operators == ["", "reduce_sum", "scan", "while"]
    shown = long.run(images(), long.outputs())
    assert shown[long.returned[""]] == pytest.approx(call(images()), rel=1e-6)


def test_what_is_given_is_consumed_everywhere_and_the_graphs_own_is_shown():
    graph = JaxGraph(lambda x: ((y := x * 2) + 1, y - 1, y))
    graph.run(images(), [])
    name = one(graph, "mul").name
    instead = np.full(images().shape, 5.0)
    shown = graph.run(images(), [name, *graph.outputs()], {name: instead})
    assert np.array_equal(shown[name], images() * 2)
    plus, minus, same = graph.outputs()
    assert same == name and (shown[plus] == 6).all() and (shown[minus] == 4).all()
    assert shown[plus].dtype == np.float32


def test_parameters_have_their_paths_and_bits_and_can_be_given(graph, model):
    own = pytrees.parameters(model)
    found = graph.parameters()
    assert own.keys() == found.keys() and all(np.array_equal(found[n], own[n]) for n in own)
    assert {".blocks[1].linear.weight", ".blocks[0].scale", ".unused"} < found.keys()
    held = {name for value in graph.values() for name in value.inputs} & own.keys()
    assert held == own.keys() - {".unused"}  # an array of NumPy's is found too
    (last,) = [v for v in graph.values() if ".blocks[1].scale" in v.inputs]
    zeros = {".blocks[1].scale": np.zeros(3, "f4")}
    shown = graph.run(images(), [last.name, ".blocks[1].scale"], zeros)
    assert not shown[last.name].any()
    assert np.array_equal(shown[".blocks[1].scale"], own[".blocks[1].scale"])


def test_a_function_is_given_its_module_for_the_names(model):
    call = lambda x: jax.vmap(jax.vmap(model.blocks[0].linear))(x.reshape(2, -1, 3))
    bare, named = JaxGraph(call), JaxGraph(call, module=model)
    for graph in bare, named:
        graph.run(images(), [])
    assert set(bare.parameters()) == {"constant_0", "constant_1"}
    product = one(named, "dot_general")
    assert ".blocks[0].linear.weight" in product.inputs
    assert set(named.parameters()) == set(pytrees.parameters(model))


def test_keys_of_random_numbers_are_values_that_are_left_out():
    graph = JaxGraph(lambda x: x + jax.random.normal(jax.random.key(1), (4, 8)))
    graph.run(images(), [])
    key = first(graph, "random_seed").name
    assert key not in graph.run(images(), [key, *graph.outputs()])
    assert graph.effect(images())[0].watched.largest < 1e-6


def test_a_run_is_compiled_once(graph, monkeypatch):
    wanted = graph.outputs()
    graph.run(images(), wanted)
    monkeypatch.setattr(jax, "jit", None)
    before = graph.run(images(), wanted)
    again = graph.run(images(), list(reversed(wanted)))
    assert all(np.array_equal(before[name], again[name]) for name in wanted)


def test_a_module_of_nnx_has_its_paths():
    nnx = pytest.importorskip("flax.nnx", reason="pip install flax")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(8, 2, rngs=rngs), nnx.Linear(2, 1, rngs=rngs)])

        def __call__(self, x):
            return self.layers[1](nnx.relu(self.layers[0](x)))

    graph = JaxGraph(Net(nnx.Rngs(0)))
    assert graph.effect(images()) == [EQUAL] or graph.effect(images())[0].watched.largest < 1e-6
    products = [value for value in graph.values() if value.operator == "dot_general"]
    assert [value.inputs[1] for value in products] == [
        ".layers[0].kernel.value", ".layers[1].kernel.value",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda g: g.run(images().astype("f2"), []), "was given float16"),
        (lambda g: g.run(images(), ["0:nothing"]), "no value '0:nothing'"),
        (lambda g: g.run(images(), [], {".table": np.zeros((1, 3), "f4")}), r"floats, \(3,\)"),
        (lambda g: g.run(images(), [], {".table": np.zeros(3, bool)}), "given bool"),
        (
            lambda g: JaxGraph(lambda x: x if x.sum() > 0 else -x).run(images(), []),
            "cannot be traced",
        ),
        (lambda g: JaxGraph(lambda x: x).outputs(), "none were run yet"),
    ],
)
def test_what_cannot_be_is_refused_in_words(graph, asked, words):
    with pytest.raises(ParityError, match=words):
        asked(graph)


def test_equimos_own_model_shows_all_its_primitives():
    from dinov3_parity.fixtures.stages.equimo import layout

    key = jax.random.PRNGKey(0)
    config = {
        "img_size": 8, "in_channels": 3, "patch_size": 2, "num_classes": 0, "dim": 16, "num_heads": 2,
        "depths": [1], "reg_tokens": 2, "use_mask_token": True, "use_global_pos_embed": False,
        "use_local_pos_embed": True, "init_values": 0.5, "dynamic_img_size": True,
        "act_layer": "exactgelu",
    }  # fmt: skip
    model = eqx.nn.inference_mode(layout.model_class()(**config, key=key))
    one_image = lambda image: model.forward_features(image, key=key, inference=True)
    graph = JaxGraph(jax.vmap(one_image), module=model)
    effects = graph.effect(images())
    assert all(e.again.equal and e.watched.largest < 1e-5 for e in effects)
    held = {name for value in graph.values() for name in value.inputs}
    own = set(pytrees.parameters(model))
    assert own - held <= {".mask_token"} and own <= set(graph.parameters())
    (product,) = [v for v in graph.values() if ".blocks[0].blocks[0].attn.qkv.weight" in v.inputs]
    assert product.operator == "dot_general" and product.source.startswith("equimo/")


def test_no_more_runs_than_lies_between_what_is_given_and_what_is_wanted():
    """And what is alike but for its numbers is compiled once."""

    class Blocks(eqx.Module):
        blocks: list[eqx.nn.Linear]

        def __call__(self, x):
            x = x.mean((2, 3))
            for block in self.blocks:
                x = x + jax.vmap(block)(x)
            return x

    keys = jax.random.split(jax.random.key(0), 3)
    model = Blocks([eqx.nn.Linear(3, 3, key=key) for key in keys])
    graph = JaxGraph(model)
    graph.run(images(), [])
    (program,) = graph._programs.values()
    products = [v.name for v in graph.values() if v.operator == "dot_general"]
    added = [v.name for v in graph.values() if v.operator == "add"][1::2]
    given = np.ones((2, 3), "f4")
    for before, product, block in zip(added, products[1:], model.blocks[1:], strict=False):
        assert len(program._reached([product], [before])) <= 2
        shown = graph.run(images(), [product], {before: given})[product]
        assert np.allclose(shown, np.asarray(block.weight) @ given.T, atol=1e-6)
    assert len(program._compiled) == 2, "of nothing, and one for two blocks"


def test_programs_alike_are_given_each_its_own():
    """One that is not consumed is given beside, before the other and after it."""
    graph = JaxGraph(lambda x: (x * 2 + 1) * 3)
    graph.run(images(), [])
    first, second, third = (v.name for v in graph.values() if v.operator in ("mul", "add"))
    one, two = np.ones(images().shape, "f4"), np.full(images().shape, 2, "f4")
    for given in ({second: one, first: two}, {first: two, second: one}, {second: one}):
        assert np.array_equal(graph.run(images(), [third], given)[third], one * 3)
