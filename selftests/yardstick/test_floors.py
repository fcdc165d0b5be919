"""The floor of a token, of other runs besides, and where a verdict's bounds lie."""

from dataclasses import replace

import numpy as np
import pytest
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.yardstick import compare, rms, standard, widened

OUTPUT = VIT.taps["output"]  # B N D
ONES = np.ones((1, 10, 8))


def run(size, token=..., more=0.0):
    """Ones in float32, off by a size, and at a token by more."""
    made = ONES + size * np.where(np.arange(8) % 2, 1, -1)
    made[0, token] += more
    return np.float32(made)


@pytest.fixture
def known():
    return standard(OUTPUT, ONES, {"meta": run(1e-6), "twin": run(1e-6, 3, 8e-6)})


def test_the_floor_of_a_token_is_that_of_its_worst_run(known):
    floors = known.floor.tokens[0]
    assert floors[3] == pytest.approx(8e-6, rel=0.05)
    others = np.delete(floors, 3)
    assert others == pytest.approx(known.floor.value, rel=0.01) and known.floor.setter == "twin"


@pytest.mark.parametrize(
    ("share", "token_share", "passed"),
    [
        (1, 1, True), (1.001, 0.3, False), (0.3, 1.001, False), (np.nan, 0.3, False),
        (0.3, np.nan, False), (9, 0.3, False), (0.3, 9, False),
    ],
)  # fmt: skip
def test_both_ratios_are_held_and_a_limit_is_the_last_that_passes(
    known, share, token_share, passed
):
    found = compare(known, known.meta)
    limit, token_limit = OUTPUT.limit.of(known.floor.sample), OUTPUT.limit.token
    assert (found.limit, found.token_limit) == (limit, token_limit)
    found = replace(found, ratio=share * limit, token_ratio=token_share * token_limit)
    assert found.passed == passed
    assert not replace(found, problem="why").passed


def test_what_is_constant_is_told_and_what_begins_and_ends_alike_is_not():
    truth = np.random.default_rng(0).standard_normal((1, 5, 4))
    known = standard(OUTPUT, truth, {"meta": np.float32(truth)})
    alike = np.float32(truth)
    alike[0, -1, -1] = alike[0, 0, 0]
    assert compare(known, alike).problem == ""
    assert compare(known, np.full_like(alike, 0.5)).problem.startswith("constant (0.5 everywhere)")
    both = standard(OUTPUT, ONES, {"meta": np.float32(ONES)})
    assert compare(both, np.float32(ONES)).passed
    one = np.ones((1, 1, 1))
    assert compare(standard(OUTPUT, one, {"meta": np.float32(one)}), np.float32(one)).passed


def test_where_values_are_not_finite_is_told(known):
    wrong = known.meta.copy()
    wrong[0, 4, 5:7] = np.nan, np.inf
    told = compare(known, wrong).problem
    assert told == "not finite at 2 of 80 places, the first at (0, 4, 5)"


@pytest.mark.parametrize("token", [0, 9])
def test_an_error_whose_square_is_beyond_float32_has_a_ratio(known, token):
    wrong = known.meta.copy()
    wrong[0, token] = 1e30
    found = compare(known, wrong)
    assert found.ratio == pytest.approx(1e30 / 10**0.5 / known.floor.value, rel=1e-3)
    assert found.token == (0, token) and not found.passed
    assert abs(found.cosine) <= 1.001


def test_nothing_has_no_error():
    assert rms(np.zeros(0)) == 0.0


def test_a_floor_is_widened_by_the_worst_of_other_runs(known):
    for runs in ([run(1e-5), run(2e-5)], [run(2e-5), run(1e-5)], [run(2e-5), run(np.nan)]):
        wider = widened(known, "bfloat16", runs).floor
        assert wider.value == pytest.approx(2e-5, rel=0.01) and wider.setter == "bfloat16"
        assert wider.alone == known.floor.alone
        assert wider.tokens == pytest.approx(2e-5, rel=0.01)


def test_at_each_token_a_widened_floor_is_that_of_the_worst_run_there(known):
    wider = widened(known, "bfloat16", [run(1e-6, 5, 9e-5), run(2e-6)]).floor
    assert wider.tokens[0, 5] == pytest.approx(9e-5, rel=0.05)
    assert np.delete(wider.tokens[0], 5) == pytest.approx(wider.value, rel=0.01)
    once_more = widened(replace(known, floor=wider), "wider still", [run(5e-5)]).floor
    assert once_more.tokens[0, 5] == wider.tokens[0, 5]


def test_a_floor_grows_with_the_scale_of_a_token():
    sizes = np.r_[[400.0], [50.0] * 19][:, None]
    truth = np.random.default_rng(0).standard_normal((1, 20, 64)) * sizes
    off = lambda seed, by: np.float32(
        truth * (1 + by * np.random.default_rng(seed).standard_normal(truth.shape))
    )
    known = standard(OUTPUT, truth, {"meta": off(1, 1e-7)})
    for floor in (known.floor, widened(known, "bfloat16", [off(2, 1e-3)]).floor):
        least = floor.value * rms(truth[0, 0]) / rms(truth)
        assert 0.99 * least <= floor.tokens[0, 0] <= 1.5 * least
        assert floor.tokens[0, 1] < 0.3 * floor.tokens[0, 0]


def test_runs_that_are_better_or_say_nothing_widen_no_floor(known):
    for runs in ([], [run(np.nan)], [run(1e-7)], [run(1e-6)], [np.float32(ONES * np.inf)]):
        assert widened(known, "bfloat16", runs) is known
    part = run(2e-5)
    part[0, 0, 0] = np.nan  # one number that is none makes a run none
    assert widened(known, "bfloat16", [part]) is known


def test_of_zeros_a_widened_floor_is_the_error():
    zeros = np.zeros((1, 10, 8))
    known = standard(OUTPUT, zeros, {"meta": np.float32(zeros)})
    wider = widened(known, "bfloat16", [np.full((1, 10, 8), 1e-3, np.float32)]).floor
    assert wider.value == pytest.approx(1e-3, rel=1e-3)
    assert wider.tokens == pytest.approx(1e-3, rel=1e-3)
    assert compare(known, known.meta).cosine == 1.0
