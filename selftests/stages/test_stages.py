"""Stages are the packages' own modules: accepted by them, and unchanged by being tapped."""

import numpy as np
import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import CHAIN, Input
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.yardstick import compare

_, *BLOCKS, HEAD = VIT.places(VARIANTS["vits16"])

FORMS = ("size", "batch", "static")

#: Every kind of grid: one patch, one row, one column, square, wide, the largest.
GRIDS = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (2, 8), (14, 14), (2, 37), (20, 20)]

SMALL = Input(2, (2, 8), 1)
SQUARE = Input(1, (14, 14), 2)


def test_a_program_keeps_few_compiled_shapes_and_stays_right(monkeypatch):
    """Each holds memory mappings, of which a process may have only so many."""
    import jax.numpy as jnp
    from dinov3_parity.fixtures.graphs import jax_taps

    monkeypatch.setattr(jax_taps, "KEPT", 2)
    double = jax_taps.Program(lambda module, x: jax_taps.tap("twice", 2 * x))
    for size in (1, 2, 3, 1, 2):
        _, shown = double((), jnp.ones(size))
        assert np.array_equal(shown["twice"], np.full(size, 2.0))
    assert len(double._compiled) == 2


def test_the_examples_own_class_loads_the_eqx(vits16):
    import equinox as eqx
    import jax
    from jax2onnx.plugins.examples.eqx.dino import VisionTransformer

    random = VisionTransformer(
        img_size=224, patch_size=16, embed_dim=384, depth=12, num_heads=6, num_storage_tokens=4,
        key=jax.random.PRNGKey(1),
    )  # fmt: skip
    loaded = eqx.tree_deserialise_leaves(vits16.artifact("mapped").path / "mapped.eqx", random)
    ours = vits16.stage("mapped").model
    for theirs, leaf in zip(jax.tree.leaves(loaded), jax.tree.leaves(ours), strict=True):
        assert np.array_equal(theirs, leaf)


@pytest.mark.parametrize("name", ["equimo", "mapped"])
@pytest.mark.parametrize("drawn", [SMALL, SQUARE], ids=str)
def test_a_tapped_block_computes_what_the_untapped_block_does(vits16, name, drawn):
    """Operation by operation the two are bit-equal. Compiled, XLA may fuse around a tap: that
    observer's effect stays far below what float32 itself may do."""
    import equinox as eqx
    import jax

    stage, recording = vits16.stage(name), vits16.recording(drawn)
    tokens = recording.given(BLOCKS[3])
    tapped, plain = (stage.arguments(3, tokens, drawn.grid, tapped=t) for t in (True, False))
    with jax.disable_jit():
        assert np.array_equal(stage.program.plain(*tapped), stage.program.plain(*plain))

    compiled = np.asarray(eqx.filter_jit(stage.program.plain)(*plain))
    shown = stage.block(3, tokens, drawn.grid)["output"]
    standard = recording.part(BLOCKS[3])["output"]
    ratios = [compare(standard, output).ratio for output in (compiled, shown)]
    assert ratios[1] == pytest.approx(ratios[0], rel=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_onnx_accepts_the_export(vits16, form):
    import onnx

    onnx.checker.check_model(str(vits16.artifact("onnx", form).path / "model.onnx"))


@pytest.mark.parametrize("level", ["disable", "all"])
@pytest.mark.parametrize("form", FORMS)
def test_the_whole_tapped_copy_returns_what_the_untouched_file_does(vits16, form, level):
    """The observer's effect stays below the published gate's own limit."""
    stage = vits16.stage("onnx", form=form, level=level)
    images = SQUARE.images()
    _, copy = stage.chain(images)
    untouched = stage.features(images)
    worst = max(np.abs(copy[tap] - untouched[tap]).max() for tap in untouched)
    assert worst < 1e-5


def test_mapped_parameters_read_without_jax_are_those_of_the_model(vits16):
    from dinov3_parity.fixtures.stages.mapped.leaves_file import arrays

    read = arrays(vits16.artifact("mapped").path)
    for path, value in vits16.stage("mapped").parameters().items():
        assert np.array_equal(read[path], value)


@pytest.mark.parametrize("number", range(len(GRIDS)), ids=lambda n: "x".join(map(str, GRIDS[n])))
def test_one_file_takes_every_size_and_batch(vits16, number):
    drawn = Input(1 + number % 4, GRIDS[number], seed=100 + number)
    recording = vits16.recording(drawn, CHAIN)
    shown = vits16.stage("onnx").features(recording.images)
    standards = recording.part(HEAD, CHAINED)
    for tap in ("cls", "registers", "patches", "pooled"):
        found = compare(standards[tap], shown[tap])
        assert found.passed, f"{tap} on {drawn}: {found.problem or found.ratio}"


def test_the_three_files_agree_at_the_published_size(vits16):
    images = SQUARE.images()
    shown = [vits16.stage("onnx", form=form).features(images) for form in FORMS]
    for tap in ("cls", "patches", "pooled"):
        worst = max(np.abs(shown[0][tap] - other[tap]).max() for other in shown[1:])
        assert worst < 1e-5, f"{tap}: {worst:.1e}"


def test_the_model_of_every_size_has_the_mapped_models_arrays(vits16):
    """Composed anew, nothing copied or lost: the same arrays give the same features."""
    import jax
    from dinov3_parity.fixtures.stages.mapped.any_size import any_size

    mapped = vits16.stage("mapped")
    anew = any_size(mapped.model)
    theirs = {id(leaf) for leaf in jax.tree.leaves(mapped.model)}
    assert all(id(leaf) in theirs for leaf in jax.tree.leaves(anew))
