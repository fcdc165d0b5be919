"""What a policy file's keys may hold."""

import math

import pytest
from dinov3_parity.parity.records import policy


@pytest.mark.parametrize("value", [0.5, 1, 3.0, 1e299])
def test_a_number_is_above_zero_and_finite(value):
    assert policy.is_number(value)
    assert policy.NUMBERS.fits([value, 1]) and policy.NUMBER.fits(value)


@pytest.mark.parametrize("value", [0, 0.0, -1, math.inf, math.nan, True, "1", None, [1]])
def test_anything_else_is_none(value):
    assert not policy.is_number(value)
    assert not policy.NUMBERS.fits([1, value])


@pytest.mark.parametrize("value", [[], {}, "", " ", (), None, [""], ["a", 1], ("a",), {"a": "b"}])
def test_a_list_of_strings_is_a_list_and_says_something(value):
    assert not policy.LIST.fits(value) and not policy.TEXTS.fits(value)


def test_strings_are_one_or_a_list():
    assert policy.LIST.fits(["a", "b"]) and policy.TEXTS.fits(["a"]) and policy.TEXTS.fits("a")
    assert not policy.LIST.fits("a") and not policy.LIST.fits(["a", " "])


def test_an_entry_has_every_key_that_it_needs_and_no_other():
    form = policy.Form({"a": policy.TEXT, "b": policy.NUMBER}, "a and b", {"c": policy.TEXT})
    form.check({"a": "x", "b": 1})
    form.check({"a": "x", "b": 1, "c": "y"})
    for fields, words in (
        ([], "it is no table"), ({"a": "x"}, "it has no b"), ({}, "it has no a and no b"),
        ({"a": "x", "b": 1, "d": 2}, "there is no key 'd'"), ({"a": "", "b": 1}, "a = ''"),
        ({"a": "x", "b": 1, "c": 3}, "c = 3 is not a string"), ({"a": "x", "b": -1}, "b = -1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            form.check(fields)
