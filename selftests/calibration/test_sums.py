"""Sums in a chosen order: the same as added number by number, to the bit."""

import numpy as np
import pytest
from dinov3_parity.fixtures.calibration.sums import Summation

COUNTS = (1, 3, 8, 9, 16, 37)
ORDERS = (
    Summation(),
    Summation(first=True),
    Summation(fused=True),
    Summation(fused=True, first=True),
    Summation(4),
    Summation(8, fused=True, first=True),
    Summation(16, first=True),
    Summation(pairwise=True),
    Summation(pairwise=True, first=True),
)


def by_hand(order, x, w, bias):
    """One sum of products, float32 number by float32 number."""
    if order.pairwise:
        made = halved([a * b for a, b in zip(x, w, strict=True)])
        return bias + made if order.first else made + bias
    lanes = [np.float32(0)] * min(order.lanes, len(x))
    if order.first:
        lanes[0] = bias
    for k, (a, b) in enumerate(zip(x, w, strict=True)):
        lane = k % len(lanes)
        if order.fused:
            lanes[lane] = np.float32(np.float64(a) * np.float64(b) + np.float64(lanes[lane]))
        else:
            lanes[lane] = lanes[lane] + a * b
    while len(lanes) > 1:
        half = (len(lanes) + 1) // 2
        lanes = [lane + sum(lanes[k + half : k + half + 1]) for k, lane in enumerate(lanes[:half])]
    return lanes[0] if order.first else lanes[0] + bias


def halved(terms):
    if len(terms) <= 8:
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total
    middle = len(terms) // 2
    return halved(terms[:middle]) + halved(terms[middle:])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("order", ORDERS, ids=repr)
def test_a_product_is_added_up_in_the_order_that_is_asked_for(order, count):
    rng = np.random.default_rng(count)
    x, w = rng.standard_normal((2, 5, count)).astype(np.float32)
    bias = rng.standard_normal(5).astype(np.float32)
    made = order.product(x, w, bias)
    expected = [
        [by_hand(order, row, column, b) for column, b in zip(w, bias, strict=True)] for row in x
    ]
    assert made.dtype == np.float32 and np.array_equal(made, np.array(expected, np.float32))


@pytest.mark.parametrize("order", [one for one in ORDERS if not (one.fused or one.first)], ids=repr)
def test_a_total_is_the_product_with_ones(order):
    values = np.random.default_rng(0).standard_normal((3, 4, 37)).astype(np.float32)
    ones, nothing = np.ones((1, 37), np.float32), np.zeros(1, np.float32)
    expected = order.product(values.reshape(12, 37), ones, nothing).reshape(3, 4, 1)
    assert np.array_equal(order.total(values), expected)


def test_products_of_several_heads_are_those_of_each():
    x, w = np.random.default_rng(0).standard_normal((2, 2, 3, 5, 9)).astype(np.float32)
    made = Summation(4).product(x, w)
    assert np.array_equal(made[1, 2], Summation(4).product(x[1, 2], w[1, 2]))
