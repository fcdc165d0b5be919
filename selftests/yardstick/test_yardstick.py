"""Does the yardstick measure right?"""

import numpy as np
import pytest
from dinov3_parity.parity import yardstick
from dinov3_parity.parity.families.base import Limit
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.yardstick import EPS32, Floor, compare, rms, standard
from hypothesis import given
from hypothesis import strategies as st

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
    found = compare(standard(VIT.taps["norm1"], truth, {"meta": meta}), shown)
    by_hand = rms(shown - truth) / standard(VIT.taps["norm1"], truth, {"meta": meta}).floor.value
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
    floor = standard(VIT.taps["norm1"], truth, {"meta": rounded}).floor
    assert floor.value >= lower * 0.999


def test_the_worst_twin_sets_the_floor():
    truth = np.ones((1, 10, 10))
    runs = {"meta": np.float32(truth + 1e-6), "twin": np.float32(truth - 3e-6)}
    found = standard(VIT.taps["norm1"], truth, runs).floor
    assert found.setter == "twin"
    assert found.value == pytest.approx(3e-6, rel=0.05)
    assert found.alone == pytest.approx(1e-6, rel=0.1)


def test_a_truth_of_zeros_lets_zeros_pass_and_nothing_else():
    zeros = np.zeros((2, 3, 4), np.float32)
    nothing = standard(VIT.taps["norm1"], zeros.astype(np.float64), {"meta": zeros})
    assert compare(nothing, zeros).passed
    assert not compare(nothing, np.full_like(zeros, 1e-30)).passed


def test_the_largest_difference_is_found_in_its_place():
    truth = np.zeros((2, 3, 4)) + np.arange(4)
    meta = truth.astype(np.float32)
    shown = meta.copy()
    shown[1, 2, 3] += 0.5
    found = compare(standard(VIT.taps["norm1"], truth, {"meta": meta}), shown)
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
    found = compare(standard(VIT.taps["norm1"], truth, {"meta": meta}), BAD[words](meta))
    assert found.problem.startswith(words)
    assert not found.passed


def test_a_broadcastable_shape_is_not_broadcast():
    truth = np.random.default_rng(0).standard_normal((2, 5, 4))
    meta = truth.astype(np.float32)
    for cropped in (meta[:1], meta[:, :, :1], meta[0]):
        found = compare(standard(VIT.taps["norm1"], truth, {"meta": meta}), cropped)
        assert found.problem.startswith("of another shape")


def noisy(truth, seed, size=1e-7):
    """A float32 run with relative errors of that rms."""
    rng = np.random.default_rng(seed)
    return np.float32(truth * (1 + size * rng.standard_normal(truth.shape)))


def test_a_fault_in_one_register_does_not_drown_in_200_patches():
    truth = np.random.default_rng(0).standard_normal((1, 201, 384))
    known = standard(VIT.taps["output"], truth, {"meta": noisy(truth, 1), "twin": noisy(truth, 2)})
    shown = noisy(truth, 3)
    assert compare(known, shown).passed
    shown[0, 3] = truth[0, 3] + 10 * (shown[0, 3] - truth[0, 3])
    found = compare(known, shown)
    assert found.ratio < found.limit
    assert found.token_ratio > found.token_limit and found.token == (0, 3)
    assert not found.passed


def test_a_token_is_measured_against_what_rounding_does_to_tokens_of_its_size():
    """Large tokens err more: a small one's error is not forgiven for their sake."""
    sizes = np.where(np.arange(50) < 5, 1000.0, 1.0)[None, :, None]
    truth = np.random.default_rng(0).standard_normal((1, 50, 64)) * sizes
    known = standard(VIT.taps["output"], truth, {"meta": noisy(truth, 1), "twin": noisy(truth, 2)})
    shown = noisy(truth, 3)
    assert compare(known, shown).passed
    shown[0, 30] += 1e-5  # a hundred times what rounding does there, a tenth of it at large tokens
    found = compare(known, shown)
    assert found.ratio < found.limit and found.token == (0, 30)
    assert found.token_ratio > 20 and not found.passed


def test_a_lucky_token_of_metas_is_no_standard():
    """Meta may be right by chance at a token; the floor there is what it does to its like."""
    truth = np.random.default_rng(0).standard_normal((1, 50, 64))
    meta = noisy(truth, 1)
    meta[0, 7] = truth[0, 7]
    found = compare(standard(VIT.taps["output"], truth, {"meta": meta}), noisy(truth, 3))
    assert found.passed and found.token_ratio < 2


def test_a_token_of_zeros_among_others_may_err_as_a_typical_one_and_no_more():
    """The middle of an odd grid has sin 0: Meta is exact there, and nobody else need be."""
    truth = np.random.default_rng(0).standard_normal((49, 64))
    truth[24] = 0
    known = standard(VIT.taps["rope.sin"], truth, {"meta": noisy(truth, 1)})
    honest, wrong = noisy(truth, 3), noisy(truth, 3)
    honest[24], wrong[24] = 3e-8, 1e-6
    assert compare(known, honest).passed
    assert compare(known, wrong).token == (24,) and not compare(known, wrong).passed


def test_equal_tokens_have_equal_floors():
    """A constant image: whatever Meta does to one patch it does to all."""
    token = np.random.default_rng(0).standard_normal(64)
    truth = np.tile(token, (2, 9, 1))
    meta = np.tile(noisy(token, 1), (2, 9, 1))
    floors = standard(VIT.taps["patch_embed"], truth, {"meta": meta}).floor
    assert np.ptp(floors.tokens) == 0
    assert floors.tokens[0, 0] == pytest.approx(floors.value, rel=1e-3)


def test_one_token_is_the_whole_tensor():
    truth = np.random.default_rng(0).standard_normal((1, 1, 384))
    found = compare(
        standard(VIT.taps["patch_embed"], truth, {"meta": noisy(truth, 1)}), noisy(truth, 2)
    )
    assert found.token_ratio == pytest.approx(found.ratio, rel=1e-4)


def test_where_meta_is_exact_one_unit_in_the_last_place_is_three_floors_and_a_half():
    """A copied token, cos 0: no arithmetic that could round stands between. What the lower bound
    forgives is a value rounded again, not one that was moved."""
    truth = np.random.default_rng(0).uniform(1, 2, (1, 9, 64)).astype(np.float32)
    known = standard(VIT.taps["tokens"], truth.astype(np.float64), {"meta": truth})
    assert known.floor.setter == "rounding"
    assert compare(known, truth).ratio == 0
    next_to_it = np.nextafter(truth, np.float32(3))
    assert compare(known, next_to_it).ratio == pytest.approx(3.4, rel=0.1)
    assert not compare(known, np.nextafter(next_to_it, np.float32(3))).passed


def test_a_massive_channel_does_not_hide_its_token():
    """One channel a thousand times the others: the floor follows what Meta does with it."""
    truth = np.random.default_rng(0).standard_normal((1, 20, 384))
    truth[0, 4, 100] = 3000
    known = standard(VIT.taps["output"], truth, {"meta": noisy(truth, 1), "twin": noisy(truth, 2)})
    shown = noisy(truth, 3)
    assert compare(known, shown).passed
    shown[0, 9] += 3e-6  # thirty roundings of an ordinary token, nothing beside the massive one
    found = compare(known, shown)
    assert found.ratio < found.limit and found.token == (0, 9) and not found.passed


def sample_of(floors):
    return Floor(1.0, "meta", 1.0, np.asarray(floors, np.float32)).sample


def test_the_limit_of_a_whole_tap_follows_how_many_tokens_it_has():
    limit = Limit(whole=1.5, token=6.0, strongest=1.0, strongest_token=4.0, alone=1.0)
    assert limit.of(1) == 6.0
    assert [limit.of(n) for n in (6, 21, 201)] == [3.34, 2.48, 1.82]
    assert limit.of(10**9) == 1.5


def test_tokens_of_like_floors_are_a_sample_of_as_many():
    assert sample_of(1 + 1e-3 * np.arange(50)) == pytest.approx(50, rel=0.01)


def test_equal_tokens_are_a_sample_of_one():
    """An image of one colour has one patch, whatever its grid; the five before it err by themselves."""
    assert sample_of(np.full((1, 36), 3e-7)) == 1
    prefix = [1.1, 1.2, 1.3, 1.4, 1.5]
    assert 1 < sample_of([*prefix, *[1.0] * 36]) < 2.5


def test_a_token_that_is_nearly_all_of_the_error_is_nearly_all_of_the_sample():
    assert sample_of([100.0, *(1 + 1e-3 * np.arange(50))]) == pytest.approx(1, rel=0.02)


def test_a_comparison_has_the_limit_of_its_sample():
    truth = np.random.default_rng(0).standard_normal((1, 6, 384))
    known = standard(VIT.taps["norm1"], truth, {"meta": noisy(truth, 1)})
    found = compare(known, noisy(truth, 2))
    assert found.limit == VIT.taps["norm1"].limit.of(known.floor.sample)
    assert found.token_limit == VIT.taps["norm1"].limit.token < 2 * found.limit
