"""Graphs of models that are not held whole: one of each block alone computes what the whole one does."""

from functools import partial

import numpy as np
import onnx
import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs.base import Value
from dinov3_parity.fixtures.graphs.onnx_parts.flat import flat
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports.factories.words import from_words
from dinov3_parity.fixtures.ports.large.excerpts import Excerpts
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.fixtures.stages.protocol import State
from dinov3_parity.parity.alignment.boundaries import Boundaries
from dinov3_parity.parity.alignment.flow import Flow
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.inputs.drawn import Input

from selftests.support.stages import factories
from selftests.support.stages.brought import given

VITS16 = VARIANTS["vits16"]
SMALL = Input(2, (2, 3), 1)
BLOCKS = (0, 7)


@pytest.fixture(scope="module")
def streamed(store):
    """A pipeline of two blocks of twelve, as a large variant's are run."""
    part = BlockSubset(Synthetic(VITS16), BLOCKS)
    return Pipeline(part.variant, part, store, streamed=True)


@pytest.fixture(scope="module")
def file(vits16):
    return vits16.stage("onnx", "size").path


@pytest.fixture(scope="module")
def whole(vits16, file):
    port = from_file(str(file), "mine")
    port.look(vits16)
    yield port
    port.close()


def by_blocks(port, pipe):
    """What a port shows of each place, on Meta's own values."""
    port.look(pipe)
    assert {tap for _, tap in port.alignment.absent} <= {"attn.logits", "attn.probs"}  # fused
    stage = port.opened(pipe.variant, pipe.checkpoint, streamed=True)
    reference = pipe.computed(SMALL)
    for place in pipe.places:
        yield place, State(reference.given(place), SMALL.grid), stage
        stage.rest()


def assert_same(pipe, port, stage_of_all):
    numbered = partial(pipe.computed(SMALL).family.numbered, pipe.variant)
    for place, state, stage in by_blocks(port, pipe):
        alone, of_all = stage.run(place, state), stage_of_all.run(numbered(place), state)
        assert sorted(alone) == sorted(of_all)
        for tap, value in of_all.items():
            assert np.array_equal(alone[tap], value), (place, tap)


def test_a_file_run_a_block_at_a_time_shows_what_it_shows_as_a_whole(vits16, streamed, file, whole):
    port = from_file(str(file), "mine")
    assert_same(streamed, port, whole.opened(VITS16, vits16.checkpoint))
    port.close()


@pytest.mark.thorough
def test_so_does_a_factorys_model(vits16, streamed, tmp_path):
    """Thorough: the test before has the same walk over blocks; a model is made for each here."""
    pytest.importorskip("transformers")
    words = given(tmp_path, factories.PERIODS, "factory.py", "make")
    port, of_all = from_words(words), from_words(words)
    of_all.look(vits16)
    assert_same(streamed, port, of_all.opened(VITS16, vits16.checkpoint))


def test_an_output_of_a_block_that_is_left_out_is_left_out(file, whole, tmp_path):
    """Of a file that returns what block 6 hands on, a file of block 0 does not; nor does it hold the
    other blocks' numbers."""
    model = flat(file, tmp_path)
    tap = whole.alignment.found[Place("block", (6,)), "output"].name
    model.graph.output.append(onnx.ValueInfoProto(name=tap))
    onnx.save(model, tmp_path / "maps.onnx")
    excerpts = Excerpts(tmp_path / "maps.onnx", VITS16, Synthetic(VITS16), {0, 6})
    first, sixth = (onnx.load(excerpts.of((number,))) for number in (0, 6))
    assert [len(one.graph.output) for one in (first, sixth)] == [1, 2]
    numbers = sum(map(np.prod, (one.dims for one in first.graph.initializer)))
    assert numbers < 3e6, "a block of vits16 has 1.8 million, the embedding 0.3"
    excerpts.close()


def test_a_file_of_other_weights_is_refused(file):
    with pytest.raises(ParityError, match=r"These are not the weights of .* Nothing was compared"):
        Excerpts(file, VITS16, Synthetic(VITS16, seed=1), {0})


def test_where_an_operator_was_fused_over_the_end_of_a_block_it_is_told():
    """The sum at the end of block 0 is made in the norm of block 1: what that reads are the two terms."""
    residual = [Value("tokens", "Conv", ("images", "w0")), Value("ffn", "MatMul", ("tokens", "w1"))]
    sum_, norm = Value("sum", "Add", ("tokens", "ffn")), Value("norm", "Norm", ("sum", "w2"))
    end = [Value("next", "Add", ("sum", "norm")), Value("last", "Norm", ("next", "w3"))]
    own = {"w0": 0, "w1": 1, "w2": 2, "w3": 3}
    stored = [Value(name) for name in ("images", *own)]
    plain = Boundaries(Flow([*stored, *residual, sum_, norm, *end]), own, ["images"], 4)
    assert [plain.given(k) for k in (1, 2, 3)] == ["tokens", "sum", "next"]

    skip = Value("norm", "SkipNorm", ("tokens", "ffn", "w2"))
    end[0] = Value("next", "SkipSum", ("tokens", "ffn", "norm"))
    fused = Boundaries(Flow([*stored, *residual, skip, *end]), own, ["images"], 4)
    assert (fused.given(1), fused.given(3)) == ("tokens", "next")
    with pytest.raises(LookupError):
        fused.given(2)
