"""Mistakes are made with the variant's own numbers, not with those that most variants have."""

from dataclasses import replace

import numpy as np
import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.faults import catalogue

VITS16, VITB16 = VARIANTS["vits16"], VARIANTS["vitb16"]
FAULTS = catalogue()


@pytest.mark.parametrize("geometry", [VITS16, VITB16, replace(VITS16, heads=12)], ids=repr)
def test_scales_by_width_and_head(geometry):
    variant = geometry
    value = np.ones((1, variant.heads, 2, 2), np.float32)
    scale = lambda name: float(FAULTS[name].edit(value, variant).max())
    right = variant.head_dim**-0.5
    assert scale("scale by the model's width") * right == pytest.approx(variant.dim**-0.5)
    assert scale("scale twice") == pytest.approx(right)
    assert scale("scale missing") == pytest.approx(1 / right)


@pytest.mark.parametrize("registers", [4, 1])
def test_as_many_registers_are_masked_as_there_are(registers):
    variant = replace(VITS16, registers=registers)
    masked = FAULTS["registers masked"].edit(np.zeros((1, 6, 9, 9), np.float32), variant)
    assert (masked[0, 0, 0] < 0).tolist() == [1 <= k <= registers for k in range(9)]


def test_heads_are_reversed_by_their_own_width():
    variant = replace(VITS16, heads=12)
    context = np.repeat(np.arange(12, dtype=np.float32), variant.head_dim)[None]
    merged = FAULTS["heads reversed on merge"].edit(context, variant)
    assert merged[0, :: variant.head_dim].tolist() == list(range(12))[::-1]
