"""The honest orders as ports: they compute the model, each in its own way, and none raises an alarm."""

import numpy as np
import pytest
from dinov3_parity.fixtures.calibration.measuring import honest, measured
from dinov3_parity.fixtures.calibration.orders import ANGLES, COORDINATES, ORDERS
from dinov3_parity.fixtures.calibration.summary import summary
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import parse
from dinov3_parity.parity.inputs.strategies import drawn

#: One patch, where six tokens are the sample; equal patches, which err alike; an image in which the bias
#: is all; patches of a row and a batch.
INPUTS = tuple(map(parse, (
    "B1 1x1 seed=9769 gaussian scale=10",
    "B1 4x6 seed=5094 constant scale=0.01",
    "B3 1x5 seed=2148 hot scale=100",
)))  # fmt: skip


def test_no_honest_order_is_taken_for_a_fault(vits16):
    made = summary(measured(vits16, honest(vits16), INPUTS), VIT)
    assert {row["name"] for row in made["orders"]} == {one.name for one in ORDERS}
    assert {row["name"] for row in made["taps"]} == set(VIT.taps) - {"ffn.gate"}
    assert made["over"] == 0, made["orders"]


@pytest.mark.thorough  # half an hour: a sequential sum is a loop over its terms
def test_no_honest_order_is_taken_for_a_fault_in_200_000_comparisons(vits16):
    made = summary(measured(vits16, honest(vits16), drawn(480, 0)), VIT)
    assert made["comparisons"] >= 200_000
    assert made["over"] == 0, made["orders"]


def test_orders_differ_where_they_say_so(vits16):
    """Else one would be measured twice and another not at all."""
    given = np.random.default_rng(0).standard_normal((1, 6, 384)).astype(np.float32)
    shown = {name: port.block(0, given, (1, 1)) for name, port in honest(vits16).items()}
    sums = {one.name: one.sums for one in ORDERS}
    for name, other in ((a, b) for a in shown for b in shown if sums[a] != sums[b]):
        assert not np.array_equal(shown[name]["ffn.out"], shown[other]["ffn.out"]), (name, other)
    norms = ("sequential", "sequential, one-pass norm", "sequential, Welford norm")
    assert len({shown[name]["norm1"].tobytes() for name in norms}) == 3


def test_every_usual_formula_of_an_angle_is_in_some_order():
    assert {one.coordinates for one in ORDERS} == set(COORDINATES)
    assert {one.angles for one in ORDERS} == set(ANGLES)


@pytest.mark.parametrize("name", COORDINATES)
@pytest.mark.parametrize("count", [1, 2, 7, 20, 79])
def test_coordinates_are_the_centres_of_patches(name, count):
    exact = (2 * np.arange(count) + 1) / count - 1
    made = COORDINATES[name](count)
    assert made.dtype == np.float32 and np.abs(made - exact).max() < 2e-7
