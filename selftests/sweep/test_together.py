"""One pass over a model's places measures what each test declared, fed what its contract says."""

import numpy as np
import pytest
from dinov3_parity.fixtures.sweep.resume_point import ResumePoint
from dinov3_parity.fixtures.sweep.sweep import Member, together
from dinov3_parity.parity.comparator import Comparator, Departure
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.contract import declared
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED

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
    right.comparator.hold()
    other.comparator.hold()
    with pytest.raises(RuntimeError, match="no block 1"):
        together(member(reference, "blocks", fails=BLOCKS[1]), [right], reference)


def test_a_pass_that_was_interrupted_is_taken_up_where_it_stood(tmp_path):
    reference, point = Made(DRAWN), ResumePoint(tmp_path / "mark")
    reference.handed_on = lambda done: {"meta": np.zeros(1, np.float32)}
    taken_up = []
    reference.go_on = lambda done, runs: taken_up.append((done, sorted(runs)))
    for contract in ("reference", "chain"):
        with pytest.raises(RuntimeError, match="no block 2"):
            together(
                member(reference, contract, fails=BLOCKS[2], off=EMBED), [], reference,
                resume_point=point,
            )  # fmt: skip
        again = member(reference, contract, off=EMBED)
        together(again, [], reference, resume_point=point)
        (account,) = again.comparator.accounts
        assert account.compared == account.declared
        assert set(again.stage.asked) == {BLOCKS[2], HEAD}
        with pytest.raises(Departure, match="block 0" if contract == "chain" else "patch_embed"):
            again.comparator.hold()
        assert taken_up.pop() == (3, ["meta"]) and not taken_up
        assert point.found() is None


def test_what_others_left_is_no_place_to_go_on_from(tmp_path):
    reference, point = Made(DRAWN), ResumePoint(tmp_path / "mark")
    reference.handed_on = lambda done: {"meta": np.zeros(1, np.float32)}
    with pytest.raises(RuntimeError):
        together(member(reference, "blocks", fails=BLOCKS[2]), [], reference, resume_point=point)
    one = member(reference, "blocks", "theirs")
    together(one, [], reference, resume_point=point)
    assert one.stage.asked == BLOCKS
    assert {mode for mode, _ in one.comparator.declared} == {ISOLATED} != {CHAINED}
