"""Blocks one at a time, and tests that travel together, measure what whole models and lone tests do."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages.onnx.whole_file import DATA
from dinov3_parity.fixtures.stages.registry import stages
from dinov3_parity.fixtures.sweep.resume_point import Position, ResumePoint
from dinov3_parity.fixtures.sweep.sweep import Member, together
from dinov3_parity.parity.comparator import Comparator, Departure
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import contract
from dinov3_parity.parity.records.measurement import CHAINED

VITS16 = VARIANTS["vits16"]
SMALL = Input(2, (2, 8), 1)


#: The stages that have artifacts.
MADE = [name for name, info in stages().items() if info.has_artifacts]


@pytest.fixture(scope="module")
def streamed(store):
    return Pipeline(VITS16, Synthetic(VITS16), store, streamed=True)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("i", [0, 7])
def test_a_block_by_itself_is_the_block_of_the_whole_model(vits16, streamed, name, i):
    tokens = vits16.recording(SMALL).given(Place("block", (i,)))
    whole = vits16.stage(name).block(i, tokens, SMALL.grid)
    alone = streamed.stage(name).block(i, tokens, SMALL.grid)
    assert sorted(alone) == sorted(whole)
    for tap, value in whole.items():
        assert np.array_equal(alone[tap], value), tap


@pytest.mark.parametrize("name", MADE)
def test_what_stands_around_the_blocks_survives_letting_one_go(vits16, streamed, name):
    stage, images = streamed.stage(name), SMALL.images()
    stage.rest()
    for tap, value in vits16.stage(name).embed(images).items():
        assert np.array_equal(stage.embed(images)[tap], value), tap


def test_an_excerpt_has_the_blocks_it_names():
    whole = Synthetic(VITS16)
    part = BlockSubset(whole, (0, 6, 11))
    assert list(part) == list(VIT.layout(VIT.subset(VITS16, (0, 6, 11))))
    assert np.array_equal(part["blocks.1.ls1.gamma"], whole["blocks.6.ls1.gamma"])
    assert part["norm.weight"] is whole["norm.weight"]
    assert part.variant.number(2) == 11
    assert "blocks.2.ls1.gamma" in part and part.get("blocks.3.ls1.gamma") is None
    assert BlockSubset(part, (2,)).variant.numbers == (11,)
    assert part.digest != BlockSubset(whole, (0, 5, 11)).digest


def member(pipe, name, layer, taken, stage=None):
    declared, parent = contract.declared(layer, pipe.variant), stages()[name].parent
    comparator = Comparator(pipe.variant, name, layer, "", declared, taken.extend, parent=parent)
    return Member(comparator, stage or pipe.stage(name))


def test_tests_that_travel_together_measure_what_each_measures_alone(vits16):
    alone, jointly = [], []
    for name, layer in (("equimo", "blocks"), ("onnx", "chain"), ("onnx", "embedding")):
        together(member(vits16, name, layer, alone), (), vits16.recording(SMALL))
    members = [
        member(vits16, name, layer, jointly)
        for name, layer in (("equimo", "blocks"), ("onnx", "chain"), ("onnx", "embedding"))
    ]
    assert together(members[0], members[1:], vits16.computed(SMALL)) == []
    figures = lambda found: {(m.stage, m.layer, m.block, m.tap): m.ratio for m in found}
    assert figures(jointly).keys() == figures(alone).keys()
    for place, ratio in figures(alone).items():
        assert figures(jointly)[place] == pytest.approx(ratio, rel=1e-3), place
    for one in members:
        assert one.comparator.settled(SMALL)
        one.comparator.hold()


def test_one_that_cannot_come_stops_no_other(vits16):
    class Broken:
        name = "broken"

        def block(self, i, tokens, grid):
            raise ValueError("no such operator")

    taken = []
    leader = member(vits16, "equimo", "blocks", taken)
    broken = member(vits16, "equimo", "blocks", taken, stage=Broken())
    assert together(leader, [broken], vits16.recording(SMALL)) == [broken]
    assert not broken.comparator.settled(SMALL)
    assert leader.comparator.settled(SMALL)
    leader.comparator.hold()
    with pytest.raises(ValueError, match="no such operator"):
        together(broken, [], vits16.recording(SMALL))


def test_a_departure_waits_for_its_own_turn(vits16):
    class Doubled:
        name = "doubled"

        def head(self, tokens):
            return {tap: 2 * v for tap, v in vits16.stage("meta").head(tokens).items()}

    leader = member(vits16, "equimo", "final norm", [])
    other = member(vits16, "equimo", "final norm", [], stage=Doubled())
    assert together(leader, [other], vits16.recording(SMALL)) == []
    leader.comparator.hold()
    assert other.comparator.settled(SMALL)
    with pytest.raises(Departure, match="departs from meta at norm"):
        other.comparator.hold()


def test_an_excerpt_is_measured_under_its_blocks_own_numbers(store):
    part = BlockSubset(Synthetic(replace(VITS16, name="vits16 (streamed)")), (0, 6))
    pipe, taken = Pipeline(part.variant, part, store, streamed=True), []
    one = member(pipe, "meta", "blocks", taken)
    together(one, (), pipe.computed(SMALL))
    assert {m.block for m in taken} == {0, 6}
    one.comparator.hold()


STREAMED = tuple(stages())


class Counted:
    """A stage that counts the blocks it is asked for, and is interrupted at one of them."""

    def __init__(self, stage, stop=None):
        self._stage, self._stop, self.asked = stage, stop, []

    def __getattr__(self, name):
        return getattr(self._stage, name)

    def run(self, place, state):
        if place.index == (self._stop,):
            raise KeyboardInterrupt
        self.asked.extend(place.index)
        return self._stage.run(place, state)


def travelling(pipe, taken, stop=None):
    """Members of every stage on their whole contract, the leader Meta's own float32."""
    stages = {name: None if name == "meta" else pipe.stage(name) for name in STREAMED}
    stages["mapped"] = Counted(stages["mapped"], stop)
    members = []
    for name, stage in stages.items():
        declared = contract.declared("reference", pipe.variant)
        comparator = Comparator(pipe.variant, name, "streamed", "", declared, taken.extend)
        members.append(Member(comparator, stage))
    return members


@pytest.fixture(scope="module")
def four_blocks(store):
    part = BlockSubset(Synthetic(VITS16), (0, 1, 2, 3))
    return lambda: Pipeline(part.variant, part, store, streamed=True)


def test_an_interrupted_pass_is_taken_up_at_the_block_it_stood_at(four_blocks, tmp_path):
    whole, before, after = [], [], []
    members = travelling(four_blocks(), whole)
    together(members[0], members[1:], four_blocks().computed(SMALL))

    resume_point = ResumePoint(tmp_path / "mark.safetensors")
    members = travelling(four_blocks(), before, stop=2)
    with pytest.raises(KeyboardInterrupt):
        together(members[0], members[1:], four_blocks().computed(SMALL), resume_point=resume_point)
    assert resume_point.found().done == 3, "the embedding and two blocks"

    members = travelling(four_blocks(), after)
    reference = four_blocks().computed(SMALL)
    asked = []
    reference._fed, fed = lambda run, i, x: asked.append(i) or fed(run, i, x), reference._fed
    together(members[0], members[1:], reference, resume_point=resume_point)
    assert min(asked) == 3 and members[2].stage.asked == [2, 2, 3, 3]
    assert sorted(map(str, after)) == sorted(map(str, whole))
    assert all(
        m.comparator.accounts[-1].compared == m.comparator.accounts[-1].declared for m in members
    )
    assert resume_point.found() is None, "a pass that has ended leaves no mark"


def test_a_mark_of_other_tests_or_a_damaged_one_is_not_taken_up(four_blocks, tmp_path):
    resume_point, taken = ResumePoint(tmp_path / "mark.safetensors"), []
    members = travelling(four_blocks(), [], stop=1)
    with pytest.raises(KeyboardInterrupt):
        together(members[0], members[1:], four_blocks().computed(SMALL), resume_point=resume_point)
    alone = travelling(four_blocks(), taken)[1]
    together(alone, [], four_blocks().computed(SMALL), resume_point=resume_point)
    assert {m.block for m in taken} == {None, 0, 1, 2, 3}
    resume_point.path.write_bytes(b"half a file")
    assert resume_point.found() is None


def a_mark(done):
    return Position(done, {"meta": np.zeros((2, 3), np.float32)}, {}, {})


def test_what_a_killed_process_left_of_a_mark_is_written_over(tmp_path):
    resume_point = ResumePoint(tmp_path / "mark.safetensors")
    resume_point.path.with_suffix(".new").write_bytes(b"half a mark")
    resume_point.put(a_mark(1))
    assert resume_point.found().done == 1 and not resume_point.path.with_suffix(".new").exists()


def test_a_mark_that_finds_no_room_is_told_and_the_one_before_stays(tmp_path, monkeypatch):
    import safetensors.numpy

    resume_point = ResumePoint(tmp_path / "mark.safetensors")
    resume_point.put(a_mark(1))

    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(ParityError, match=r"No space left on device.*--store DIR") as caught:
        resume_point.put(a_mark(2))
    assert "\n" not in str(caught.value) and resume_point.found().done == 1
    assert not resume_point.path.with_suffix(".new").exists()


def test_what_one_run_hands_on_does_not_pile_up_with_depth(four_blocks):
    reference = four_blocks().computed(SMALL)
    _, one, *_ = blocks = VIT.repeated(reference.variant)
    for place in blocks:
        reference.part(place, CHAINED)
        assert all(len(kept) <= 2 for kept in reference._values.values())
    again = reference.part(one, CHAINED)["output"]
    assert np.array_equal(
        again.meta, four_blocks().computed(SMALL).part(one, CHAINED)["output"].meta
    )


def test_a_model_of_one_block_is_kept_no_longer_than_it_is_in_use(four_blocks):
    pipe = four_blocks()
    for name in ("equimo", "mapped"):
        stage, alive = pipe.stage(name), []
        stage.block(0, SMALL_TOKENS, SMALL.grid)
        alive = [weakref.ref(leaf) for leaf in large_arrays(stage)]
        assert alive
        stage.block(1, SMALL_TOKENS, SMALL.grid)
        stage.rest()
        gc.collect()
        assert [one for one in alive if one() is not None] == [], name
        assert large_arrays(stage) == [], name


SMALL_TOKENS = np.random.default_rng(0).standard_normal((2, 21, 384), dtype=np.float32)


def large_arrays(stage):
    """The arrays of a block that a stage holds: those as large as its FFN's."""
    import jax

    leaves = jax.tree.leaves(stage._held.model)
    return [leaf for leaf in leaves if getattr(leaf, "size", 0) >= 384 * 1536]


def test_one_excerpt_is_one_artifact_however_it_was_come_by():
    whole = Synthetic(VITS16)
    assert (
        BlockSubset(BlockSubset(whole, (0, 6, 11)), (0,)).digest == BlockSubset(whole, (0,)).digest
    )


def test_the_file_of_a_whole_model_returns_what_the_exported_one_does(store):
    part = BlockSubset(Synthetic(VITS16), (0, 1))
    pipe = Pipeline(part.variant, part, store)
    whole, exported = pipe.whole_file("onnx"), pipe.stage("onnx")
    assert whole.path.stat().st_size < 1 << 20 < (whole.path.parent / DATA).stat().st_size
    whole.check()
    for drawn in (SMALL, Input(1, (14, 14), 2)):
        theirs = exported.features(drawn.images())
        for tap, value in whole.features(drawn.images()).items():
            assert np.abs(value - theirs[tap]).max() < 1e-5, tap
