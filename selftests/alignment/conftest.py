"""A model of two blocks, Meta's values of it, and files exported from transformers' port of it."""

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs.onnx_graph import OnnxGraph
from dinov3_parity.fixtures.ports.looking import SAMPLES, sample
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.parity.alignment.parameters import whose
from dinov3_parity.parity.alignment.search import Search
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT

from selftests.support.stages import foreign


class Edited(dict):
    """A checkpoint's tensors, which may be changed."""

    def __init__(self, checkpoint):
        super().__init__({name: np.array(checkpoint[name]) for name in checkpoint})
        self.variant, self.digest = checkpoint.variant, checkpoint.digest


@pytest.fixture(scope="session")
def two_blocks():
    return BlockSubset(Synthetic(VARIANTS["vits16"]), (0, 5))


@pytest.fixture(scope="session")
def samples(two_blocks):
    return [sample(Computed(two_blocks.variant, two_blocks, one)) for one in SAMPLES[0]]


@pytest.fixture
def edited(two_blocks):
    return Edited(two_blocks)


@pytest.fixture
def aligned(two_blocks, samples, tmp_path):
    """The alignment with Meta of a file that is exported with a checkpoint, after an edit."""

    def of(checkpoint, edit=lambda model: None, periods=True, change=lambda path: None):
        file = foreign.exported(checkpoint, tmp_path / "foreign.onnx", edit, periods)
        change(file)
        graph = OnnxGraph(file, lambda images: {"pixel_values": images})
        held = whose(graph.parameters(), VIT, two_blocks.variant, two_blocks)
        return graph, Search(graph, samples, held).aligned()

    return of
