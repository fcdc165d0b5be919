"""A record of a comparison: how strong it is, how near to failing, and its verdict in a word."""

import math

import pytest
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.measurement import block_of, measurement
from dinov3_parity.parity.yardstick import Comparison
from msgspec.structs import replace

from selftests.support.records.measurements import taken

ONE = replace(taken("norm1", 2.0), token_ratio=3.0)  # of limits 4 and 6


@pytest.mark.parametrize(
    ("ratio", "token_ratio", "strength", "largest"),
    [(2.0, 3.0, 0.5, 3.0), (3.0, 1.0, 0.75, 3.0), (2.0, 5.4, 0.9, 5.4), (8.0, 6.0, 2.0, 8.0)],
)
def test_the_nearer_of_two_ratios_to_its_limit_is_how_strong_it_is(
    ratio, token_ratio, strength, largest
):
    one = replace(ONE, ratio=ratio, token_ratio=token_ratio)
    assert (one.strength, one.largest, one.strain) == (strength, largest, strength)
    assert replace(one, ceiling=10.0).strain == largest / 10


@pytest.mark.parametrize("none", [{"ratio": None}, {"token_ratio": None}, {"problem": "absent"}])
def test_what_has_no_number_is_stronger_than_everything(none):
    one = replace(ONE, **none)
    assert one.strength == one.largest == one.strain == math.inf
    assert replace(one, ceiling=10.0).strain == math.inf


@pytest.mark.parametrize(
    ("passed", "known", "failed", "word"),
    [
        (True, "", False, "holds"), (False, "", True, "departs"), (False, "why", False, "known"),
        (True, "why", False, "holds"),
    ],
)  # fmt: skip
def test_a_comparison_holds_is_known_or_departs(passed, known, failed, word):
    one = replace(ONE, passed=passed, known=known)
    assert (one.failed, one.word) == (failed, word)


def test_a_place_is_told_with_its_block():
    assert (block_of("block 0"), block_of("block 12"), block_of("head")) == (0, 12, None)
    assert [block_of(words) for words in ("block 03", "block ٣", "a block 3")] == [None] * 3
    assert (ONE.where, taken("cls", 1.0, None).where) == ("block 0, norm1", "cls")


@pytest.mark.parametrize("name", ["ratio", "token_ratio", "max_abs", "rel_max", "cosine"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_none(name, number):
    figures = {
        "ratio": 1.0, "floor": 1.0, "floor_setter": "meta", "floor_alone": 1.0, "max_abs": 1.0,
        "max_abs_index": (0,), "rel_max": 1.0, "cosine": 1.0, "limit": 4.0, "token": (0, 0),
        "token_ratio": 1.0, "token_limit": 6.0,
    }  # fmt: skip
    where = {
        "family": "vit", "variant": "vits16", "stage": "mine", "parent": "", "mode": "isolated",
        "place": "head", "tap": "norm", "runtime": "", "fault": None, "layer": "blocks",
    }  # fmt: skip
    drawn = Input(2, (3, 1), 7, "noise", 0.1)
    one = measurement(Comparison(**figures | {name: number}), drawn, **where)
    assert getattr(one, name) is None and one.input == drawn
    others = {"ratio", "token_ratio", "max_abs", "rel_max", "cosine"} - {name}
    assert {getattr(one, other) for other in others} == {1.0}
    assert one.passed == ("ratio" not in name)
