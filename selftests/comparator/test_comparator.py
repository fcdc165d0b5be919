"""What is declared is compared, all of it, and what departs fails: on every input, at every tap."""

from dataclasses import replace

import numpy as np
import pytest
from dinov3_parity.parity import relations
from dinov3_parity.parity.comparator import (
    ATTEMPTS,
    GATE_COSINE,
    GATE_MAX_ABS,
    Comparator,
    Departure,
    Gate,
    hold_published,
    published_gate,
)
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.contract import declared, size
from dinov3_parity.parity.records.deviations import Deviation
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from dinov3_parity.parity.relations import Outcome

from selftests.support.references import PLACES, SMALL, Made, metas

EMBED, *BLOCKS, HEAD = PLACES
DRAWN, OTHER = Input(2, (2, 3), seed=1), Input(1, (1, 2), seed=2)


def comparator(contract="reference", **more):
    return Comparator(
        SMALL, "mine", "blocks", "", declared(contract, SMALL), lambda found: None, **more
    )


def passed_over(one, drawn=DRAWN, change=lambda mode, place, shown: shown):
    """A comparator that has compared what a stage shows which is Meta, but for a change."""
    reference = Made(drawn)
    one.begin(reference)
    for mode, place in list(one.declared):
        if one.wants(mode, place):
            one.compare(place, change(mode, place, metas(reference, place, mode)), mode)
    return one


def without(tap, at):
    def change(mode, place, shown):
        if (mode, place) == at:
            del shown[tap]
        return shown

    return change


def wrong(tap, at, token=...):
    def change(mode, place, shown):
        if (mode, place) == at:
            shown[tap][token] *= 1.001
        return shown

    return change


EVERY_TAP = [(at, tap) for at, taps in declared("reference", SMALL).items() for tap in taps]


def test_a_stage_that_shows_meta_s_values_holds_and_all_that_was_declared_is_compared():
    recorded = []
    one = comparator()
    one.record = recorded.extend
    passed_over(one).hold()
    (account,) = one.accounts
    assert account.declared == account.compared == size(one.declared) == len(recorded)
    assert [((m.mode, m.place), m.tap) for m in recorded] == [
        ((mode, str(place)), tap) for (mode, place), tap in EVERY_TAP
    ]


@pytest.mark.parametrize("change", [without, wrong])
def test_each_declared_tap_of_each_place_can_fail(change):
    for at, tap in EVERY_TAP:
        one = comparator()
        one.declared = {at: one.declared[at]}
        passed_over(one, change=change(tap, at))
        with pytest.raises(Departure, match="departs from the reference at") as told:
            one.hold()
        assert f"{tap} ({at[0]}" in str(told.value), (at, tap)
        assert "absent" in str(told.value) or change is wrong
        assert one.accounts[0].failure


def test_what_was_declared_and_not_compared_fails():
    reference = Made(DRAWN)
    one = comparator()
    one.begin(reference)
    for place in PLACES[:-1]:
        one.compare(place, metas(reference, place))
    with pytest.raises(
        Departure, match="declared and not compared on B2 2x3 seed=1: isolated head"
    ):
        one.hold()


def test_where_nothing_was_compared_everything_is_missing():
    one = comparator("outputs")
    one.begin(Made(DRAWN))
    with pytest.raises(Departure, match=r"declared and not compared on .*: everything"):
        one.hold()


def test_a_place_that_was_not_declared_is_no_place_to_compare_at_and_one_is_compared_once():
    reference, one = Made(DRAWN), comparator("blocks")
    one.begin(reference)
    with pytest.raises(LookupError, match="not in the contract"):
        one.compare(EMBED, metas(reference, EMBED))
    one.compare(BLOCKS[0], metas(reference, BLOCKS[0]))
    one.compare(BLOCKS[0], {})
    assert all(m.passed for m in one.taken)


def test_a_reference_of_another_shape_than_the_tables_is_no_standard():
    class Cropped(Made):
        def part(self, place, mode=ISOLATED):
            known = super().part(place, mode)
            return known | {"norm1": replace(known["norm1"], meta=known["norm1"].meta[:1])}

    one = comparator("blocks")
    one.begin(Cropped(DRAWN))
    with pytest.raises(LookupError, match="norm1: the reference has"):
        one.compare(BLOCKS[0], {})


FIRST = wrong("norm1", (ISOLATED, BLOCKS[1]))


@pytest.mark.parametrize("pinned", [(), (DRAWN,)], ids=["drawn", "pinned"])
def test_any_input_may_fail_and_after_a_drawn_one_its_place_alone_is_asked_for(pinned):
    one = passed_over(comparator(pinned=frozenset(pinned)), change=FIRST)
    with pytest.raises(Departure, match="block 1, norm1"):
        one.hold()
    passed_over(one, OTHER)
    places = {m.place for m in one.taken}
    assert places == ({str(place) for place in PLACES} if pinned else {"block 1"})
    one.hold()


def test_each_input_of_a_test_is_judged_by_itself_however_late():
    one = passed_over(comparator(), change=FIRST)
    one.close()
    passed_over(one, OTHER).close()
    assert one.settled(OTHER)
    one.hold()
    assert one.settled(DRAWN)
    with pytest.raises(Departure, match="block 1, norm1"):
        one.hold()
    assert not one.settled(Input(1, (1, 1)))


class Rejected(Exception):
    pass


def test_the_search_for_the_smallest_that_fails_ends():
    def reject():
        raise Rejected

    one = passed_over(comparator(reject=reject), change=FIRST)
    for seed in range(ATTEMPTS + 5):  # before anything failed there is no search
        assert not one.settled(Input(1, (1, 1), seed=seed))
    with pytest.raises(Departure):
        one.settled(DRAWN)
        one.hold()
    for seed in range(ATTEMPTS):
        assert not one.settled(Input(1, (1, 2), seed=seed))
    with pytest.raises(Rejected):
        one.settled(Input(1, (1, 3)))


def test_the_measurement_that_is_nearest_to_failing_is_what_a_search_climbs_by():
    told = []
    one = passed_over(comparator(target=told.append))
    strains = [m.strain for m in one.taken]
    one.hold()
    assert told == [max(strains)] and min(strains) < max(strains) <= 1


def test_what_need_not_be_shown_is_not_missing_and_is_counted():
    reference, one = Made(DRAWN), comparator("whole")
    one.begin(reference)
    for tap in ("registers", "patches"):
        one.waive(HEAD, CHAINED, [tap])
    assert one.wanted(CHAINED, HEAD) == ("norm", "cls", "pooled")
    shown = metas(reference, HEAD)
    one.compare(HEAD, {tap: shown[tap] for tap in ("norm", "cls", "pooled")}, CHAINED)
    one.hold()
    (account,) = one.accounts
    assert (account.declared, account.waived, account.compared) == (5, 2, 3)


def test_what_an_earlier_pass_finished_is_not_asked_for_again_and_still_fails():
    reference, before = Made(DRAWN), passed_over(comparator("blocks"), change=FIRST)
    one = comparator("blocks")
    one.begin(reference)
    one.take_up(BLOCKS[:2], [m for m in before.taken if m.place != "block 2"])
    assert [one.wants(ISOLATED, place) for place in BLOCKS] == [False, False, True]
    one.compare(BLOCKS[2], metas(reference, BLOCKS[2]))
    assert one.accounts[0].compared == one.accounts[0].declared
    with pytest.raises(Departure, match="block 1, norm1"):
        one.hold()


def test_where_an_earlier_pass_finished_everything_nothing_is_left():
    reference, before = Made(DRAWN), passed_over(comparator("blocks"))
    one = comparator("blocks")
    one.begin(reference)
    one.take_up(PLACES, before.taken)
    assert not any(one.wants(ISOLATED, place) for place in BLOCKS)
    one.hold()


def test_only_a_contract_with_a_chain_asks_for_one():
    for contract, has in (("blocks", False), ("reference", True), ("chain", True)):
        one = comparator(contract)
        one.begin(Made(DRAWN))
        assert one.chained == has


def related(one, change=lambda shown: shown, problem="", less=()):
    reference = Made(DRAWN)
    first = {tap: x for tap, x in metas(reference, HEAD).items() if tap not in less}
    shown = change({tap: x.copy() for tap, x in first.items()})
    one.relate("twice", reference, Outcome(shown, first, problem))
    return one


def test_answers_that_agree_hold_and_those_that_do_not_fail_whichever_tap_it_is():
    related(comparator("relation")).hold()
    related(comparator("relation"), less=("registers", "patches")).hold()
    for tap in VIT.parts["head"].chained:
        change = lambda shown, tap=tap: shown | {tap: shown[tap] * np.float32(1.001)}
        with pytest.raises(Departure, match=f"departs from itself at {tap} \\(twice\\)"):
            related(comparator("relation"), change).hold()


def test_a_model_that_is_not_meta_and_of_no_shape_of_its_tables_may_agree_with_itself():
    reference, one = Made(DRAWN), comparator("relation")
    first = {tap: 1.5 * x for tap, x in metas(reference, HEAD).items()}
    first["pooled"] = first["pooled"][:, :7]
    one.relate("twice", reference, Outcome(first, first))
    one.hold()


def test_two_answers_may_differ_by_what_two_honest_runs_do():
    """Each is within the floor of the truth, so they are within √2 floors of one another."""
    known = Made(DRAWN).part(HEAD)["cls"]
    both = relations.standards({"cls": known.meta + 1}, {"cls": known})["cls"]
    assert both.floor.value == pytest.approx(2**0.5 * known.floor.value)
    assert both.floor.alone == pytest.approx(2**0.5 * known.floor.alone)
    assert both.floor.tokens == pytest.approx(2**0.5 * known.floor.tokens)
    assert (both.truth == known.meta + 1).all() and both.scale == known.scale


def test_what_a_relation_finds_by_itself_fails_with_answers_that_agree():
    with pytest.raises(Departure, match="writes into the images"):
        related(comparator("relation"), problem="writes into the images it is given").hold()


def test_a_published_figure_that_is_not_returned_is_missing():
    with pytest.raises(Departure, match=r"cls .*absent"):
        related(
            comparator("relation"), lambda shown: {k: shown[k] for k in shown if k != "cls"}
        ).hold()


@pytest.mark.parametrize("tap", ["cls", "pooled"])
@pytest.mark.parametrize("image", [0, 1])
def test_the_published_gate_is_asked_of_every_image_and_of_both_figures(tap, image):
    reference = Made(DRAWN)
    shown = metas(reference, HEAD)
    hold_published(reference, shown)
    shown[tap][image, 3] += 1e-4
    with pytest.raises(AssertionError, match=f"{tap}: cosine"):
        hold_published(reference, shown)
    hold_published(reference, shown, known={tap})


def test_each_figure_of_the_published_gate_can_refuse():
    meta = np.zeros((1, 1000), np.float32)
    meta[:, 0] = 1
    off = lambda by, of=1: np.float32(meta * of + by * (np.arange(1000) == 1))
    assert published_gate(off(0.99e-5), meta).passed
    assert not published_gate(off(1.01e-5), meta).passed
    # Of small values the cosine tells, and of one image among others, too.
    both, small = np.concatenate([meta, meta]), np.float32(1e-4)
    turned = published_gate(np.concatenate([meta, off(2e-3)]) * small, both * small)
    assert turned.max_abs < 1e-5 and not turned.passed
    assert not Gate(GATE_COSINE, 0.0).passed and not Gate(1.0, GATE_MAX_ABS).passed


def test_taps_that_are_known_to_depart_are_told_to_the_gate_after_them():
    entry = Deviation("d.toml, entry 1", ["mine"], ["*"], ["norm1"], 1e6, reason="why", until="")
    one = passed_over(comparator(deviations=(entry,)), change=FIRST)
    assert one.known == frozenset()  # nothing is known before the input is judged
    one.hold()
    assert one.known == {"norm1"}
