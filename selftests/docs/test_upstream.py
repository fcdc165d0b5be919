"""The figures of docs/upstream.md, measured again: each a bound that its finding stands or falls with."""

import numpy as np
import pytest
from dinov3_parity.fixtures.stages.equimo import layout
from dinov3_parity.fixtures.stages.equimo.vit import ARCHIVE, model_config
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import HEAD, VIT
from dinov3_parity.parity.inputs.drawn import CHAIN, Input
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.yardstick import compare
from dinov3_parity.reports.pages import deviations

SQUARE, WIDE = Input(1, (8, 8), 1), Input(1, (4, 16), 1)


@pytest.fixture(scope="module")
def example(vits16):
    """jax2onnx's example, built for 64 patches, with the mapped numbers."""
    import equinox
    import jax
    from dinov3_parity.fixtures.graphs import pytrees
    from dinov3_parity.fixtures.stages.mapped import modules

    build = lambda key: modules.build(vits16.variant, 128, key)
    like = equinox.filter_eval_shape(build, jax.random.PRNGKey(0))
    return pytrees.fill(like, vits16.stage("mapped").parameters())


def ratio_of_cls(pipe, model, drawn):
    reference = pipe.recording(drawn, CHAIN)
    shown = np.asarray(model(reference.images))[:, 0]
    return compare(reference.part(Place(HEAD), CHAINED)["cls"], shown).ratio


def test_the_example_takes_another_grid_of_as_many_patches_for_a_square(vits16, example):
    assert ratio_of_cls(vits16, example, SQUARE) < VIT.taps["cls"].limit.of(1)
    assert ratio_of_cls(vits16, example, WIDE) > 1e5


@pytest.mark.parametrize("tap", ["norm1", "norm2"])
def test_layer_norms_taken_apart_are_as_good_as_metas(vits16, tap):
    drawn = Input(1, (14, 14), 2)
    reference, stage = vits16.recording(drawn), vits16.stage("onnx", form="size")
    ratios = [
        compare(reference.part(place)[tap], stage.run(place, reference.state(place))[tap]).ratio
        for place in VIT.repeated(vits16.variant)
    ]
    assert len(ratios) == vits16.variant.depth
    assert 0.2 < np.median(ratios) < 0.7 and max(ratios) < 0.8


def test_equimos_own_periods_are_those_of_the_releases_in_1_1_alone(vits16):
    import jax

    small = model_config(vits16.variant) | {"depths": [1]}
    own = layout.model_class()(**small, key=jax.random.PRNGKey(0)).local_pos_embed.patch_rope.freqs
    same = np.array_equal(own, vits16.checkpoint["rope_embed.periods"])
    assert same == (layout.HERE is layout.FIRST)


@pytest.mark.skipif(layout.HERE is layout.FIRST, reason="1.1's own models do not rescale rope")
def test_equimos_features_are_of_a_key_unless_inference_is_asked_for(vits16):
    import jax
    from equimo.serialization import load_weights
    from equimo.vision.models.vit import dinov3_vits16_pretrain_lvd1689m

    model = dinov3_vits16_pretrain_lvd1689m()
    model = load_weights(model, path=vits16.artifact("equimo").path / ARCHIVE)
    image = Input(1, (2, 8), 2).images()[0]
    call = lambda key, **how: np.asarray(model.features(image, key=jax.random.PRNGKey(key), **how))
    right = call(0, inference=True)
    assert np.array_equal(call(1, inference=True), right)
    assert all(np.abs(call(key) - right).max() > 0.01 * np.abs(right).max() for key in (0, 1))


def test_every_finding_says_what_it_does_to_a_ratio():
    for one in deviations.findings():
        assert one.effect and one.see and any(c.isdigit() for c in one.package + one.effect), one
