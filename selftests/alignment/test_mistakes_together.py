"""Mistakes in a foreign file, one, two and three at a time: each is told at its own tap, in its block."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs.onnx_graph import OnnxGraph
from dinov3_parity.fixtures.ports.graphed import Graphed
from dinov3_parity.fixtures.ports.looking import SAMPLES, sample
from dinov3_parity.fixtures.reference import local
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.parity.alignment.parameters import whose
from dinov3_parity.parity.alignment.search import Search
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import contract
from dinov3_parity.parity.records.measurement import LOCAL
from dinov3_parity.parity.yardstick import compare

from selftests.support.stages import foreign

pytest.importorskip("transformers", reason="pip install dinov3-parity[test]")

BLOCKS = (0, 3, 6, 9)

#: An input that no search looks at, two images of different height and width.
DRAWN = Input(2, (3, 5), seed=12)


def _rounded(linear, kind):
    linear.weight.data = linear.weight.data.to(kind).float()


def _eps(norm):
    norm.eps = 1e-6


def _scaled(layer):
    layer.attention.scaling *= 8 / 63**0.5


def _tanh(layer):
    layer.mlp.act_fn = torch.nn.GELU(approximate="tanh")


class _QuickGelu(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def _quick(layer):
    layer.mlp.act_fn = _QuickGelu()


#: The taps where a mistake is told, and the mistake, made in one layer of transformers' model. Of what is
#: computed in one operation either of two names says it.
MISTAKES = {
    "eps of the first norm": ("norm1", lambda layer: _eps(layer.norm1)),
    "eps of the second norm": ("norm2", lambda layer: _eps(layer.norm2)),
    "q without its bias": ("attn.q_proj", lambda layer: layer.attention.q_proj.bias.data.zero_()),
    "k in float16": ("attn.k_proj", lambda layer: _rounded(layer.attention.k_proj, torch.float16)),
    "v in bfloat16": ("attn.v_proj", lambda layer: _rounded(layer.attention.v_proj, torch.bfloat16)),
    "scaled by the root of 63": ("attn.logits", _scaled),
    "attention's output without its bias": (
        "attn.out", lambda layer: layer.attention.o_proj.bias.data.zero_(),
    ),
    "first LayerScale in bfloat16": (
        "ls1", lambda layer: setattr(
            layer.layer_scale1.lambda1, "data", layer.layer_scale1.lambda1.data.bfloat16().float()
        ),
    ),
    "MLP's first in float16": ("ffn.up", lambda layer: _rounded(layer.mlp.up_proj, torch.float16)),
    "GELU by tanh": ("ffn.hidden", _tanh),
    "quick GELU": ("ffn.hidden", _quick),
    "MLP's output without its bias": ("ffn.out", lambda layer: layer.mlp.down_proj.bias.data.zero_()),
}  # fmt: skip


def _together(count, trials):
    """Mistakes in blocks of their own, drawn from a seed."""
    draw, blocks = random.Random(count), range(len(BLOCKS))
    return [
        tuple(zip(draw.sample(blocks, count), draw.sample(list(MISTAKES), count), strict=True))
        for _ in range(trials)
    ]


ALONE = [((block, name),) for block, name in product((1,), MISTAKES)]
CASES = ALONE + _together(2, 12) + _together(3, 12)


@pytest.fixture(scope="module")
def checkpoint():
    return BlockSubset(Synthetic(VARIANTS["vits16"]), BLOCKS)


@pytest.fixture(scope="module")
def samples(checkpoint):
    return [sample(Computed(checkpoint.variant, checkpoint, one)) for one in SAMPLES[0]]


@pytest.fixture(scope="module")
def reference(checkpoint):
    return Computed(checkpoint.variant, checkpoint, DRAWN)


def departing(stage, reference):
    """What departs of a stage whose operations are each held on Meta's own values."""
    found, absent = set(), {f"{p}: {tap}" for p, tap in stage.alignment.absent}
    operations = contract.declared("operations", stage.variant, absent)
    for (mode, place), wanted in operations.items():
        assert mode == LOCAL
        metas = local.metas(reference, place)
        given = {tap: metas[tap] for tap in metas if stage.gives(place, tap)}
        against = local.standards(stage.checkpoint, reference, place, given, wanted)
        shown = stage.local(place, reference.state(place), given)
        for tap in wanted:
            if not compare(against[tap], shown.get(tap)).passed:
                found.add((place.index[0] if place.index else str(place), tap))
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES, ids=lambda case: " + ".join(f"{b} {n}" for b, n in case))
def test_every_mistake_is_told_at_its_own_tap(checkpoint, samples, reference, tmp_path, case):
    """Thorough: two of them at once are held by test_search.py, and in a whole run by test_factory.py."""

    def edit(model):
        for block, name in case:
            MISTAKES[name][1](model.model.layer[block])

    file = foreign.exported(checkpoint, tmp_path / "wrong.onnx", edit)
    graph = OnnxGraph(file, lambda images: {"pixel_values": images})
    held = whose(graph.parameters(), VIT, checkpoint.variant, checkpoint)
    stage = Graphed(checkpoint.variant, checkpoint, graph, Search(graph, samples, held).aligned())
    assert departing(stage, reference) == {(block, MISTAKES[name][0]) for block, name in case}
    graph.close()


def test_a_right_file_has_no_mistake(checkpoint, samples, reference, tmp_path):
    file = foreign.exported(checkpoint, tmp_path / "right.onnx")
    graph = OnnxGraph(file, lambda images: {"pixel_values": images})
    held = whose(graph.parameters(), VIT, checkpoint.variant, checkpoint)
    stage = Graphed(checkpoint.variant, checkpoint, graph, Search(graph, samples, held).aligned())
    assert not departing(stage, reference) and np.isclose(stage.alignment.share, 1)
    graph.close()
