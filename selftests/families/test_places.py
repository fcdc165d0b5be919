"""A place is written as words, read back from them alone, and sorted by its numbers."""

import random

import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import VIT

WRITTEN = {
    "head": Place("head"),
    "block 0": Place("block", (0,)),
    "block 12": Place("block", (12,)),
    "stage 2.11": Place("stage", (2, 11)),  # of a family whose blocks stand in stages
}


@pytest.mark.parametrize("words", WRITTEN)
def test_a_place_is_read_as_it_was_written(words):
    assert str(WRITTEN[words]) == words and Place.read(words) == WRITTEN[words]


def test_every_place_of_every_variant_comes_back():
    places = {place for variant in VARIANTS.values() for place in VIT.places(variant)}
    assert {Place.read(str(place)) for place in places} == places


@pytest.mark.parametrize(
    "words",
    [
        "block x", "block -1", "block 1.", "block .1", "block 1..2", "block ²", "block  3",
        "block ", "block 03", "block ٣", "block 1 2", " 3 ",
    ],
)  # fmt: skip
def test_words_that_no_place_writes_are_told(words):
    with pytest.raises(ValueError, match="is no place"):
        Place.read(words)


def test_places_are_sorted_by_their_numbers_and_not_by_their_words():
    blocks = [Place("block", (i,)) for i in range(12)]
    shuffled = random.Random(0).sample(blocks, len(blocks))
    assert sorted(shuffled) == blocks
    assert sorted([Place("stage", (10, 1)), Place("stage", (2, 11)), Place("stage", (2, 3))]) == [
        Place("stage", (2, 3)), Place("stage", (2, 11)), Place("stage", (10, 1)),
    ]  # fmt: skip


def test_a_family_sorts_places_by_the_order_of_the_computation():
    places = list(VIT.places(VARIANTS["vits16"]))
    shuffled = random.Random(0).sample(places, len(places))
    assert sorted(shuffled, key=VIT.order) == places
    assert [str(place) for place in (places[0], places[-1])] == ["embed", "head"]
