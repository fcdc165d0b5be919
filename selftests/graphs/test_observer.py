"""The observer's effect is measured in bits and in the largest |Δ|, and is not taken for another's."""

import numpy as np
import pytest
from dinov3_parity.fixtures.graphs.base import Value
from dinov3_parity.fixtures.graphs.observer import Difference, difference, effect
from dinov3_parity.parity.errors import ParityError

from selftests.graphs.held import EQUAL, images


class Disturbed:
    """A graph whose output moves when more than it is asked for."""

    def __init__(self, by: float):
        self._by = by

    def values(self):
        return [Value("images"), Value("x", "add", ("images",))]

    def outputs(self):
        return ["x"]

    def run(self, images, wanted, given=None):
        return dict.fromkeys(wanted, images + np.float32(self._by if len(wanted) > 1 else 0))


def test_a_graph_that_is_disturbed_by_looking_says_by_how_much():
    (found,) = effect(Disturbed(0.5), lambda x: [x], np.zeros((1, 3, 2, 2), "f4"))
    assert found.again.equal and found.alone.equal
    assert found.watched == Difference(False, 0.5)
    assert effect(Disturbed(0), lambda x: [x], images()) == [EQUAL]


def test_a_call_that_does_not_repeat_itself_is_seen():
    calls = iter((0.0, 1.0))
    plain = lambda x: [x + np.float32(next(calls))]
    (found,) = effect(Disturbed(0), plain, np.zeros((1, 3, 2, 2), "f4"))
    assert found.again == Difference(False, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, np.nan], [1.0, np.nan], Difference(True, 0.0)),
        ([1.0, np.nan], [1.0, 2.0], Difference(False, np.inf)),
        ([0.0, np.inf], [-0.0, np.inf], Difference(False, 0.0)),
        ([1.0, np.inf], [1.5, np.inf], Difference(False, 0.5)),
    ],
)
def test_differences_are_of_bits_and_of_numbers(one, other, expected):
    assert difference(np.array(one, "f4"), np.array(other, "f4")) == expected


def test_outputs_of_another_call_are_refused():
    with pytest.raises(ParityError, match="1 outputs, and the untouched call returns 2"):
        effect(Disturbed(0), lambda x: [x, x], images())
    with pytest.raises(ParityError, match="graph of something else"):
        effect(Disturbed(0), lambda x: [x[:1]], images())
