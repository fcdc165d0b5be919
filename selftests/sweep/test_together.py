"""One pass over a model's places measures what each test declared, fed what its contract says."""

from types import SimpleNamespace

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.reference import local
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.fixtures.sweep.resume_point import ResumePoint
from dinov3_parity.fixtures.sweep.sweep import Member, together
from dinov3_parity.parity.comparator import Comparator, Departure
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.contract import declared
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL

from selftests.support.references import PLACES, SMALL, Made, metas

EMBED, *BLOCKS, HEAD = PLACES
DRAWN = Input(2, (2, 3), seed=1)


class Meta:
    """A stage that shows Meta's values where it is given Meta's, and is off where it is not."""

    def __init__(self, reference, off=None, fails=None):
        self.reference, self.off, self.fails = reference, off, fails
        self.asked, self.rested = [], 0

    def run(self, place, state):
        if place == self.fails:
            raise RuntimeError(f"no {place}")
        self.asked.append(place)
        shown = metas(self.reference, place)
        right = np.array_equal(state.value, self.reference.given(place))
        if not right or place == self.off:
            shown = {tap: x * np.float32(1.01) for tap, x in shown.items()}
        return shown

    def features(self, images):
        assert images is self.reference.images
        return {tap: x for tap, x in metas(self.reference, HEAD).items() if tap != "registers"}

    def rest(self):
        self.rested += 1


def member(reference, contract, name="mine", whole=False, **stage):
    one = Comparator(SMALL, name, contract, "", declared(contract, SMALL), lambda found: None)
    return Member(one, Meta(reference, **stage), whole)


@pytest.mark.parametrize("contract", ["embedding", "blocks", "final norm", "chain", "reference"])
def test_what_is_declared_is_measured_and_what_is_meta_s_holds(contract):
    reference = Made(DRAWN)
    one = member(reference, contract)
    assert together(one, [], reference) == []
    one.comparator.hold()
    (account,) = one.comparator.accounts
    assert account.compared == account.declared > 0
    asked = {"embedding": [EMBED], "blocks": BLOCKS, "final norm": [HEAD], "chain": list(PLACES)}
    if contract in asked:
        assert one.stage.asked == asked[contract]
    assert one.stage.rested == len(PLACES)


def test_isolated_each_place_is_given_meta_s_values_and_chained_the_stage_s_own():
    reference = Made(DRAWN)
    blocks, chain = (member(reference, one, off=BLOCKS[0]) for one in ("blocks", "chain"))
    assert together(blocks, [chain], reference) == []
    for one in (blocks, chain):
        taken = one.comparator
        with pytest.raises(Departure, match="block 0"):
            taken.hold()
        assert f"{taken.accounts[0].failure}".count("failed on")
    found = []
    chain = member(reference, "chain", off=BLOCKS[0])
    chain.comparator.record = found.extend
    together(chain, [], reference)
    assert {m.place for m in found if m.failed} == {"block 0", "block 1", "block 2", "head"}


def test_a_stage_need_not_rest():
    reference, one = Made(DRAWN), member(Made(DRAWN), "blocks")
    one.stage = SimpleNamespace(run=one.stage.run)
    together(one, [], reference)
    one.comparator.hold()


def test_a_reference_s_own_values_are_held_in_both_modes():
    reference = Made(DRAWN)
    one = member(reference, "reference")
    one.stage = None
    together(one, [], reference)
    one.comparator.hold()
    assert one.comparator.accounts[0].compared == one.comparator.accounts[0].declared


def test_of_a_whole_model_what_it_returns_is_compared_and_what_it_need_not_is_waived():
    reference = Made(DRAWN)
    one = member(reference, "whole", whole=True)
    together(one, [], reference)
    one.comparator.hold()
    (account,) = one.comparator.accounts
    assert (account.declared, account.compared, account.waived) == (5, 4, 1)
    assert one.stage.asked == []


def test_who_cannot_go_on_is_left_behind_and_tells_so_itself():
    reference = Made(DRAWN)
    right, wrong = member(reference, "blocks"), member(reference, "blocks", fails=BLOCKS[1])
    other = member(reference, "chain")
    assert together(right, [wrong, other], reference) == [wrong]
    assert wrong.stage.asked == BLOCKS[:1] and not wrong.comparator.accounts[0].failure
    right.comparator.hold()
    other.comparator.hold()
    with pytest.raises(RuntimeError, match="no block 1"):
        together(member(reference, "blocks", fails=BLOCKS[1]), [right], reference)


def test_a_pass_that_was_interrupted_is_taken_up_where_it_stood(tmp_path):
    reference, point = Made(DRAWN), ResumePoint(tmp_path / "mark")
    reference.handed_on = lambda done: {"meta": np.zeros(1, np.float32)}
    taken_up = []
    reference.go_on = lambda done, runs: taken_up.append((done, sorted(runs)))
    for contract, k in (("reference", 1), ("chain", 2)):
        with pytest.raises(RuntimeError, match=f"no block {k}"):
            stopped = member(reference, contract, fails=BLOCKS[k], off=EMBED)
            together(stopped, [], reference, resume_point=point)
        again = member(reference, contract, off=EMBED)
        together(again, [], reference, resume_point=point)
        (account,) = again.comparator.accounts
        assert account.compared == account.declared
        assert set(again.stage.asked) == {*BLOCKS[k:], HEAD}
        with pytest.raises(Departure, match="block 0" if contract == "chain" else "patch_embed"):
            again.comparator.hold()
        assert taken_up.pop() == (1 + k, ["meta"]) and not taken_up
        assert point.found() is None


def test_a_chain_goes_on_with_what_it_had_handed_on(tmp_path):
    reference, point = Made(DRAWN), ResumePoint(tmp_path / "mark")
    reference.handed_on = lambda done: {"meta": np.zeros(1, np.float32)}
    reference.go_on = lambda done, runs: None
    members = lambda **stage: [
        member(reference, "chain", "one", **stage), member(reference, "chain", "other")
    ]  # fmt: skip
    with pytest.raises(RuntimeError):
        leader, other = members(fails=BLOCKS[2])
        together(leader, [other], reference, resume_point=point)
    leader, other = members()
    together(leader, [other], reference, resume_point=point)
    for one in (leader, other):
        one.comparator.hold()
        assert one.stage.asked == [BLOCKS[2], HEAD]


def test_what_others_left_is_no_place_to_go_on_from(tmp_path):
    reference, point = Made(DRAWN), ResumePoint(tmp_path / "mark")
    reference.handed_on = lambda done: {"meta": np.zeros(1, np.float32)}
    with pytest.raises(RuntimeError):
        together(member(reference, "blocks", fails=BLOCKS[2]), [], reference, resume_point=point)
    one = member(reference, "blocks", "theirs")
    together(one, [], reference, resume_point=point)
    assert one.stage.asked == BLOCKS
    assert {mode for mode, _ in one.comparator.declared} == {ISOLATED} != {CHAINED}


class Operations:
    """A stage that shows what Meta computes of the values that an operation is given; one it cannot be
    given."""

    def __init__(self, reference, off=""):
        self.reference, self.off, self.checkpoint = reference, off, Synthetic(SMALL)
        self.given = {}

    def gives(self, place, tap):
        return tap != "ls1"

    def local(self, place, state, given):
        self.given[place] = set(given)
        taps = [tap.name for tap in self.reference.family.of_part(place.part, SMALL)]
        made = local.standards(self.checkpoint, self.reference, place, given, taps)
        wrong = np.float32(1.01)
        return {tap: one.meta * (wrong if tap == self.off else 1) for tap, one in made.items()}


def test_each_operation_is_given_meta_s_values_and_a_wrong_one_is_wrong_alone():
    reference = Computed(SMALL, Synthetic(SMALL), DRAWN)
    one, found = member(reference, "operations"), []
    one.stage, one.comparator.record = Operations(reference, "norm1"), found.extend
    one.comparator.declared = {(LOCAL, BLOCKS[0]): one.comparator.declared[LOCAL, BLOCKS[0]]}
    together(one, [], reference)
    assert [m.tap for m in found if m.failed] == ["norm1"]
    assert len(found) == one.comparator.accounts[0].declared
    taps = {tap.name for tap in reference.family.of_part("block", SMALL)}
    assert one.stage.given[BLOCKS[0]] == taps - {"ls1"} | {"rope.sin", "rope.cos"}
