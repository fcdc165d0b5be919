"""What sequential sums are expected to err by, beside what they do."""

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.calibration.port import _running
from dinov3_parity.fixtures.calibration.sums import Summation
from dinov3_parity.fixtures.stages.meta import rounding
from dinov3_parity.parity.yardstick import rms

#: By how much an expected size may miss the rms of some thousand errors: they are no Gaussian draws.
NEAR = 0.25


def tensors(*arrays):
    return [torch.from_numpy(one) for one in arrays]


def drawn(count, tokens=40, outputs=60):
    rng = np.random.default_rng(count)
    x = rng.standard_normal((tokens, count)).astype(np.float32)
    w = rng.standard_normal((outputs, count)).astype(np.float32)
    return x, w, (5 * rng.standard_normal(outputs)).astype(np.float32)


@pytest.mark.parametrize("count", [64, 384, 1536])
@pytest.mark.parametrize("massive", [1, 30], ids=["even", "a massive channel"])
@pytest.mark.parametrize("fused", [False, True], ids=["apart", "fused"])
def test_a_projection_errs_as_one_added_up_one_by_one(count, massive, fused):
    x, w, bias = drawn(count)
    x[:, count // 3] *= massive
    exact = x.astype(np.float64) @ w.T.astype(np.float64) + bias
    real = Summation(fused=fused, first=True).product(x, w, bias) - exact
    of_weight = rounding.squares_of(torch.from_numpy(w))
    y, x, bias = tensors(exact.astype(np.float32), x, bias)
    expected = (rounding.projected(y, x, of_weight, bias) - y).numpy()
    assert rms(expected) == pytest.approx(rms(real), rel=NEAR)


def test_other_orders_err_less(count=384):
    x, w, bias = drawn(count)
    exact = x.astype(np.float64) @ w.T.astype(np.float64) + bias
    errors = [
        rms(Summation(lanes, fused=True, first=True).product(x, w, bias) - exact)
        for lanes in (1, 4, 8, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert rms(Summation(pairwise=True).product(x, w, bias) - exact) < errors[0]


@pytest.mark.parametrize("norm", ["two-pass", "welford"])
@pytest.mark.parametrize("massive", [1, 40], ids=["even", "a massive channel"])
def test_a_tokens_moments_err_as_sums_added_up_one_by_one(norm, massive):
    """One number a token, so the rms over many tokens is held."""
    x = np.random.default_rng(0).standard_normal((2000, 384)).astype(np.float32)
    x[:, 50] *= massive
    exact = x.astype(np.float64)
    total = Summation().total
    if norm == "welford":
        _, real = _running(x)
    else:
        gap = x - total(x) / np.float32(384)
        real = total(gap * gap) / np.float32(384)
    variance = exact.var(-1, keepdims=True)
    x, mean, of_one_pass = tensors(
        x, exact.mean(-1, keepdims=True).astype(np.float32), variance.astype(np.float32)
    )
    _, erring = rounding.moments(x, mean, of_one_pass)
    expected = erring.numpy() - of_one_pass.numpy()
    shares = (real - variance) / expected
    assert 0.6 < rms(shares) < 1.25


def test_errors_are_of_the_size_that_is_asked_for_up_as_often_as_down():
    value = torch.from_numpy(np.random.default_rng(0).standard_normal(10_000).astype(np.float32))
    errors = rounding.erring(value, 0.25).double() - value
    assert (errors.abs() - 0.25).abs().max() < 1e-6
    assert abs(errors.mean()) < 0.01


def test_equal_values_err_alike():
    assert len(rounding.erring(torch.full((5,), 1.7), 1e-3).unique()) == 1
