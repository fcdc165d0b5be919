"""What departs is told with its mistake, its operator, its picture, and where inside it erred."""

import pytest
from dinov3_parity.parity.comparator import ASKED, Comparator, Departure
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.contract import declared
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL
from dinov3_parity.parity.relations import Outcome

from selftests.support.references import PLACES, SMALL, Made, metas

BLOCK, HEAD = PLACES[1], PLACES[-1]
DRAWN = Input(2, (2, 3), seed=1)


def compared(wrong=(), mode=ISOLATED, inputs=1, by=1.001):
    """What is recorded of a block with some taps wrong, and which were asked what they are."""
    asked, found = [], []

    def alike(reference, mode, place, standard, value, given):
        asked.append(standard.tap.name)
        return f"mistake {len(asked)}"

    contract = "operations" if mode == LOCAL else "blocks"
    taps = declared(contract, SMALL)[mode, BLOCK]
    one = Comparator(
        SMALL, "mine", "blocks", "", {(mode, BLOCK): taps}, found.extend, alike=alike,
        named=lambda place, tap: f"operator of {tap}",
    )  # fmt: skip
    failures = []
    for seed in range(inputs):
        reference = Made(Input(2, (2, 3), seed=seed))
        one.begin(reference)
        shown = metas(reference, BLOCK)
        for tap in wrong:
            shown[tap] = shown[tap] * type(shown[tap].flat[0])(by)
        one.compare(BLOCK, shown, mode, reference.part(BLOCK))
        one.close()
        failures.append(one.accounts[-1].failure)
    return found, asked, failures


def test_of_taps_that_depart_those_are_asked_that_no_other_explains():
    found, asked, _ = compared(("norm1", "attn.k_proj", "output"))
    assert asked == ["norm1"]
    assert {m.tap: m.like for m in found if m.failed} == {
        "norm1": "mistake 1", "attn.k_proj": "", "output": "",
    }  # fmt: skip
    assert {m.node for m in found if m.failed} == {
        f"operator of {tap}" for tap in ("norm1", "attn.k_proj", "output")
    }
    assert not any(m.node or m.like for m in found if m.passed)
    _, asked, _ = compared(("attn.q_proj", "attn.k_proj"))
    assert asked == ["attn.q_proj", "attn.k_proj"]


def test_of_operations_held_alone_each_is_asked():
    found, asked, _ = compared(("norm1", "attn.k_proj", "output"), LOCAL)
    assert asked == ["norm1", "attn.k_proj", "output"]
    assert [m.like for m in found if m.failed] == ["mistake 1", "mistake 2", "mistake 3"]


def test_a_tap_is_asked_on_its_first_inputs_and_is_what_it_was_then():
    found, asked, _ = compared(("norm1",), inputs=ASKED + 2)
    assert len(asked) == ASKED
    assert [m.like for m in found if m.failed][ASKED:] == [f"mistake {ASKED}"] * 2


def test_a_failure_has_a_picture_of_where_it_departs():
    _, _, (failure,) = compared(("norm1",))
    assert failure.count("patches 2×3") == 1 and "1 of 19 comparisons failed on" in failure
    _, _, (plain,) = compared(())
    assert plain == ""


def test_the_picture_is_of_the_first_place_that_departs():
    one = Comparator(SMALL, "mine", "blocks", "", declared("blocks", SMALL), lambda found: None)
    reference, pictures = Made(DRAWN), []
    one.begin(reference)
    for place, by in zip(PLACES[1:4], (1.0, 1.001, 1.1), strict=True):
        shown = metas(reference, place)
        shown["norm1"] *= by
        one.compare(place, shown)
        pictures.append(one.picture)
    assert pictures[0] == "" != pictures[1] == pictures[2]


def test_where_inside_it_erred_is_kept_of_what_is_stronger_than_all_before():
    found, _, _ = compared(inputs=4)
    strongest = {}
    for m in found:
        assert bool(m.breakdown) == (m.strength > strongest.get(m.tap, -1.0)), m.tap
        strongest[m.tap] = max(m.strength, strongest.get(m.tap, -1.0))
    exact = [m for m in found if m.tap == "input"]
    assert exact[0].breakdown


def test_what_a_relation_finds_is_no_mistake_of_the_catalogue():
    asked, found = [], []
    one = Comparator(
        SMALL, "mine", "metamorphic", "", declared("relation", SMALL), found.extend,
        alike=lambda *about: asked.append(about) or "a mistake",
        named=lambda place, tap: "an operator",
    )  # fmt: skip
    reference = Made(DRAWN)
    first = metas(reference, HEAD)
    one.relate("twice", reference, Outcome({tap: 1.001 * x for tap, x in first.items()}, first))
    with pytest.raises(Departure):
        one.hold()
    assert (
        not asked and one.picture == "" and not any(m.like or m.node or m.breakdown for m in found)
    )
    assert {m.mode for m in found} == {CHAINED} and {m.relation for m in found} == {"twice"}
