"""Does the yardstick measure right?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity import yardstick
from parity.yardstick import EPS32, compare, rms, standard

shapes = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(2, 33))


@st.composite
def truths(draw):
    """A float64 truth over ten decades of scale."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.standard_normal(draw(shapes)) * 10.0 ** draw(st.integers(-5, 5))


@given(truths(), st.floats(1.5, 1e4))
def test_ratio_is_the_error_in_units_of_the_floor(truth, factor):
    rng = np.random.default_rng(0)
    meta = (truth * (1 + 1e-6 * rng.standard_normal(truth.shape))).astype(np.float32)
    shown = (truth + factor * (meta - truth)).astype(np.float32)
    found = compare(standard("norm1", truth, {"meta": meta}), shown)
    by_hand = rms(shown - truth) / standard("norm1", truth, {"meta": meta}).floor.value
    assert found.ratio == pytest.approx(by_hand, rel=1e-4)
    shown = shown.astype(np.float64)
    assert found.cosine == pytest.approx(
        np.vdot(shown, truth) / np.linalg.norm(shown) / np.linalg.norm(truth), abs=1e-7
    )


@given(truths())
def test_one_honest_rounding_is_about_one_floor(truth):
    """Where Meta is exact the floor is one rounding of the truth: correct rounding stays within."""
    rounded = truth.astype(np.float32)
    lower = yardstick.ROUNDING * EPS32 * rms(truth)
    assert rms(rounded - truth) / lower <= 2.5
    floor = standard("norm1", truth, {"meta": rounded}).floor
    assert floor.value >= lower * 0.999


def test_the_worst_twin_sets_the_floor():
    truth = np.ones((1, 10, 10))
    runs = {"meta": np.float32(truth + 1e-6), "twin": np.float32(truth - 3e-6)}
    found = standard("norm1", truth, runs).floor
    assert found.setter == "twin"
    assert found.value == pytest.approx(3e-6, rel=0.05)
    assert found.alone == pytest.approx(1e-6, rel=0.1)


def test_a_truth_of_zeros_lets_zeros_pass_and_nothing_else():
    zeros = np.zeros((2, 3, 4), np.float32)
    nothing = standard("norm1", zeros.astype(np.float64), {"meta": zeros})
    assert compare(nothing, zeros).passed
    assert not compare(nothing, np.full_like(zeros, 1e-30)).passed


def test_the_largest_difference_is_found_in_its_place():
    truth = np.zeros((2, 3, 4)) + np.arange(4)
    meta = truth.astype(np.float32)
    shown = meta.copy()
    shown[1, 2, 3] += 0.5
    found = compare(standard("norm1", truth, {"meta": meta}), shown)
    assert (found.max_abs, found.max_abs_index) == (0.5, (1, 2, 3))
    assert found.rel_max == pytest.approx(0.5 / rms(truth))


BAD = {
    "absent": lambda s: None,
    "empty": lambda s: s[:, :0],
    "of another shape": lambda s: s[:, :-1],
    "of another dtype": lambda s: s.astype(np.float64),
    "not finite": lambda s: np.where(np.arange(s.size).reshape(s.shape) == 7, np.nan, s),
    "constant": np.ones_like,
}


@pytest.mark.parametrize("words", BAD)
def test_what_cannot_be_compared_fails_in_its_own_words(words):
    truth = np.random.default_rng(0).standard_normal((2, 5, 4))
    meta = truth.astype(np.float32)
    found = compare(standard("norm1", truth, {"meta": meta}), BAD[words](meta))
    assert found.problem.startswith(words)
    assert not found.passed


def test_a_broadcastable_shape_is_not_broadcast():
    truth = np.random.default_rng(0).standard_normal((2, 5, 4))
    meta = truth.astype(np.float32)
    for cropped in (meta[:1], meta[:, :, :1], meta[0]):
        found = compare(standard("norm1", truth, {"meta": meta}), cropped)
        assert found.problem.startswith("of another shape")
