"""A size is two sides that patches fill, within bounds; any other text is refused."""

import pytest
from dinov3_parity.fixtures.images.photographs import load, parse_size
from dinov3_parity.parity.errors import ParityError
from hypothesis import given
from hypothesis import strategies as st

from selftests.support.pictures import CHINA

SIDES = st.integers(1, 128).map(lambda n: 16 * n)


@given(SIDES, SIDES)
def test_a_size_is_read_as_height_then_width(height, width):
    assert parse_size(f"{height}x{width}") == (height, width)
    assert parse_size(f" {height}×{width} ") == (height, width)
    assert parse_size(str(height)) == (height, height)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("230", "224 or 240 for 230"),
        ("224x225", "224 or 240 for 225"),
        ("100x200", "96 or 112 for 100 and 192 or 208 for 200"),
        ("0", "16 for 0"),
        ("7x32", "16 for 7"),
        ("16x0", "16 for 0"),
        ("1x4095", "16 for 1 and 4080 or 4096 for 4095"),
    ],
)
def test_a_size_that_patches_do_not_fill_is_refused_with_the_nearest(words, near):
    with pytest.raises(ParityError, match=f"multiples of 16.*Nearest: {near}\\."):
        parse_size(words)


@pytest.mark.parametrize("words", ["4112", "16x4112", "2048x2064", "999999999x16", "4096x1040"])
def test_a_size_beyond_the_bounds_is_refused_with_them(words):
    with pytest.raises(ParityError, match="at most 4096 a side and 4,194,304 pixels"):
        parse_size(words)


@pytest.mark.parametrize("words", ["4096x1024", "2048", "16x4096", "16"])
def test_the_bounds_themselves_are_sizes(words):
    assert parse_size(words)


HOSTILE = [
    "", " ", "x", "224x", "x224", "224x224x3", "-224", "+224", "224.0", "2e2", "2_24", "224 x 224",
    "224,224", "(224, 224)", "HxW", "NaN", "inf", "٢٢٤", "２２４", "224\n224", "224\0", "9" * 5000,
    "__import__('os')", "<b>224</b>", "\x1b[2J", "224*224", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_size_is_refused_in_words(words):
    with pytest.raises(ParityError, match="is not an image size") as raised:
        parse_size(words)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


@given(st.text())
def test_no_text_does_more_than_be_refused(words):
    try:
        height, width = parse_size(words)
    except ParityError:
        return
    assert 0 < height <= 4096 and 0 < width <= 4096 and height % 16 == width % 16 == 0


@pytest.mark.parametrize("size", [(230, 224), (0, 16), (8192, 8192), (-16, 16)])
def test_load_holds_to_the_same_sizes(size):
    with pytest.raises(ParityError, match="An image of"):
        load(CHINA, size, "lvd1689m")
