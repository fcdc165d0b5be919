"""The truth is float64 throughout, and the floor is that of Meta and all of its twins."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.fixtures.stages.meta.arithmetic import TWINS
from dinov3_parity.fixtures.stages.meta.vit import Meta
from dinov3_parity.fixtures.stages.protocol import State
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from dinov3_parity.parity.yardstick import rms

SMALL = replace(VARIANTS["vits16"], name="small", dim=128, heads=2, hidden=512, depth=2)
DRAWN = Input(1, (2, 3), seed=1)


@pytest.fixture(scope="module")
def reference():
    return Computed(SMALL, Synthetic(SMALL), DRAWN)


@pytest.mark.parametrize("mode", [ISOLATED, CHAINED])
def test_the_truth_is_what_float64_computes_from_the_same_numbers(reference, mode):
    truth = Meta(SMALL, Synthetic(SMALL), torch.float64)
    given = reference.images
    for place in reference.places:
        fed = reference.given(place) if mode == ISOLATED else given
        exact = truth.taps(place, State(fed, reference.grid))
        for tap, known in reference.part(place, mode).items():
            value = exact[tap].numpy()
            assert value.dtype == np.float64
            assert rms(known.truth - value) <= 1e-12 * max(rms(value), 1), (place, tap)
        given = exact.get(reference.family.parts[place.part].handed_on)


@pytest.mark.parametrize("name", TWINS)
def test_every_twin_has_a_say_in_the_floor(reference, name):
    """Without it some token of some tap has a lower floor."""
    fewer = Computed(SMALL, Synthetic(SMALL), DRAWN)
    del fewer._runs[name]
    assert any(
        (fewer.part(place)[tap].floor.tokens < known.floor.tokens).any()
        for place in reference.places
        for tap, known in reference.part(place).items()
    )
