"""The figures of docs/upstream.md, measured again: each a bound that its finding stands or falls with."""

import numpy as np
import pytest
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import EMBED, HEAD, VIT
from dinov3_parity.parity.inputs.drawn import Input
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
    reference = pipe.recording(drawn, isolated=False)
    shown = np.asarray(model(reference.images))[:, 0]
    return compare(reference.part(Place(HEAD), CHAINED)["cls"], shown).ratio


def test_the_example_takes_another_grid_of_as_many_patches_for_a_square(vits16, example):
    assert ratio_of_cls(vits16, example, SQUARE) < VIT.taps["cls"].limit.whole
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
    assert 0.5 < np.median(ratios) < 1.2 and max(ratios) < 1.3


def test_equimos_own_periods_are_those_of_the_releases(vits16):
    stage = vits16.stage("equimo")
    drawn = Input(1, (5, 3), 4)
    standard = vits16.recording(drawn).part(Place(EMBED))
    shown = stage.embed(drawn.images())
    assert all(compare(standard[tap], shown[tap]).ratio < 2 for tap in ("rope.sin", "rope.cos"))


def test_every_finding_says_what_it_does_to_a_ratio():
    for one in deviations.findings():
        assert one.effect and one.see and any(c.isdigit() for c in one.package + one.effect), one
