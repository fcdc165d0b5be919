"""A value's layout: every way in which its shape can count a tap's axes, there and back."""

import numpy as np
import pytest
from dinov3_parity.parity.alignment.layouts import Words, layouts

SIZES = {"B": 3, "N": 19, "h": 6, "d": 64, "r": 2, "c": 7, "halves": 2, "half": 32}
TOKENS = Words((("B",), ("N",), ("h", "d")))
TABLE = Words((("r", "c"), ("halves", "half")))


@pytest.mark.parametrize(
    "shape",
    [(3, 19, 384), (57, 384), (19, 3, 384), (3, 6, 19, 64), (18, 19, 64), (3, 6, 64, 19)],
)  # fmt: skip
def test_a_value_is_made_of_a_tap_and_read_back(shape):
    tap = np.random.default_rng(0).standard_normal(TOKENS.shape(SIZES), dtype=np.float32)
    found = list(layouts(shape, TOKENS, SIZES))
    assert found
    for layout in found:
        value = layout.value(tap, TOKENS, SIZES)
        assert value.shape == shape
        assert np.array_equal(layout.tap(value, TOKENS, SIZES), tap)


def test_no_two_layouts_of_a_shape_hold_a_tap_alike():
    tap = np.random.default_rng(0).standard_normal(TOKENS.shape(SIZES), dtype=np.float32)
    made = [one.value(tap, TOKENS, SIZES).tobytes() for one in layouts((57, 384), TOKENS, SIZES)]
    assert len(set(made)) == len(made) == 4


def test_a_shape_that_a_tap_cannot_have_has_no_layout():
    assert not list(layouts((3, 19, 385), TOKENS, SIZES))
    assert not list(layouts((384, 57, 2), TOKENS, SIZES))


@pytest.mark.parametrize("shape", [(14, 64), (14, 32), (3, 14, 64), (1, 1, 14, 64)])
def test_a_table_may_lack_its_second_half_or_stand_once_an_image(shape):
    half = np.random.default_rng(0).standard_normal((14, 32), dtype=np.float32)
    tap = np.concatenate([half, half], 1)
    best = [
        one
        for one in layouts(shape, TABLE, SIZES, prefix=5)
        if np.array_equal(one.tap(one.value(tap, TABLE, SIZES), TABLE, SIZES), tap)
    ]
    assert best
    assert all(one.value(tap, TABLE, SIZES).shape == shape for one in best)


def test_rows_before_a_table_stay_as_the_graph_has_them():
    tap = np.random.default_rng(0).standard_normal((14, 64), dtype=np.float32)
    (layout, *_) = [one for one in layouts((19, 64), TABLE, SIZES, prefix=5) if one.skips]
    base = np.ones((19, 64), np.float32)
    value = layout.value(tap, TABLE, SIZES, base)
    assert (value[:5] == 1).all()
    assert np.array_equal(layout.tap(value, TABLE, SIZES), tap)
    with pytest.raises(ValueError, match="on a base"):
        layout.value(tap, TABLE, SIZES)


def test_a_value_of_another_shape_is_refused():
    (layout, *_) = layouts((57, 384), TOKENS, SIZES)
    with pytest.raises(ValueError, match="not laid out"):
        layout.tap(np.zeros((57, 383), np.float32), TOKENS, SIZES)
