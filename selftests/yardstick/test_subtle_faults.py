"""Four known subtle faults: what the yardstick says of each, and what the published 1e-5 gate.

Each is injected into Meta's own float32 from outside, so the fault is all that differs. The gate is
asked at the block's output, of one block fed Meta's own input.
"""

from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch.nn.functional as F
from dinov3_parity.fixtures.stages.meta import modules as meta
from dinov3_parity.fixtures.stages.meta.vit import Meta
from dinov3_parity.parity.comparator import published_gate
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.chosen import TRAPS
from dinov3_parity.parity.yardstick import compare

VITS16 = VARIANTS["vits16"]
BLOCK = 6
PLACE = Place("block", (BLOCK,))


@contextmanager
def eps_of_1e_6(checkpoint):
    stage = Meta(VITS16, checkpoint)
    block = stage.module(BLOCK)
    block.norm1.eps = block.norm2.eps = 1e-6
    yield stage


@contextmanager
def attention_scale_off_by_1e_5(checkpoint):
    """Where attention is fused and where its logits are computed to be shown."""
    fused, explained = F.scaled_dot_product_attention, meta.Attention.explained
    off = np.float32(1 + 1e-5)
    with (
        mock.patch.object(
            F, "scaled_dot_product_attention",
            lambda q, k, v: fused(q, k, v, scale=float(off) * q.shape[-1] ** -0.5),
        ),
        mock.patch.object(
            meta.Attention, "explained",
            staticmethod(lambda q, k, v, tap, how: explained(q * off, k, v, tap, how)),
        ),
    ):  # fmt: skip
        yield Meta(VITS16, checkpoint)


@contextmanager
def periods_not_rounded(checkpoint):
    exact = np.float32(100.0 ** np.arange(0, 1, 4 / VITS16.head_dim))
    assert not np.array_equal(exact, checkpoint["rope_embed.periods"])
    yield Meta(VITS16, {**checkpoint, "rope_embed.periods": exact})


@contextmanager
def tanh_gelu(checkpoint):
    exact = F.gelu
    with mock.patch.object(F, "gelu", lambda x: exact(x, approximate="tanh")):
        yield Meta(VITS16, checkpoint)


#: Fault, the taps it must first show at, whether the 1e-5 gate passes it at the block's output.
FAULTS = {
    "LayerNorm eps 1e-6": (eps_of_1e_6, ("norm1", "norm2"), True),
    "attention scale × (1 + 1e-5)": (attention_scale_off_by_1e_5, ("attn.logits",), True),
    "unrounded periods": (periods_not_rounded, ("rope.sin", "rope.cos"), False),
    "tanh GELU": (tanh_gelu, ("ffn.hidden",), False),
}


@pytest.mark.parametrize("drawn", TRAPS, ids=str)
@pytest.mark.parametrize("name", FAULTS)
def test_a_subtle_fault_is_over_its_limit_where_it_is(vits16, name, drawn):
    inject, at, gate_passes = FAULTS[name]
    reference = vits16.recording(drawn)
    with inject(vits16.checkpoint) as faulty:
        shown = faulty.embed(reference.images)
        taps = {tap: compare(reference.part(Place("embed"))[tap], shown[tap]) for tap in shown}
        shown = faulty.block(BLOCK, reference.given(PLACE), drawn.grid)
    standards = reference.part(PLACE)
    taps |= {tap: compare(standards[tap], shown[tap]) for tap in shown}
    for tap in at:
        assert not taps[tap].passed, f"{tap}: {taps[tap].ratio}"
    before = {tap for tap in taps if not any(one in VIT.ancestors(tap) | {tap} for one in at)}
    if "rope.sin" not in at:
        assert all(taps[tap].passed for tap in before)
    gate = published_gate(shown["output"][:, 0], standards["output"].meta[:, 0])
    assert gate.passed == gate_passes, gate
