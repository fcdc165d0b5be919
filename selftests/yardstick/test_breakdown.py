"""Where inside a tap a comparison erred: the same as computed plainly in float64."""

import numpy as np
import pytest
from dinov3_parity.parity.breakdown import POINTS, breakdown
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.picture import draw
from dinov3_parity.parity.yardstick import compare, standard
from msgspec.structs import replace

from selftests.support.records.measurements import taken

VITS16 = VARIANTS["vits16"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def measured(tap, rng, batch=2, grid=(2, 3)):
    """A standard of a tap, and what a stage with float32 errors of its own shows there."""
    truth = rng.standard_normal(VIT.extent(VIT.taps[tap], VITS16, batch, grid))
    noise = lambda: (1e-7 * rng.standard_normal(truth.shape)).astype(np.float32)
    known = standard(VIT.taps[tap], truth, {"meta": truth.astype(np.float32) + noise()})
    return known, truth.astype(np.float32) + noise()


@pytest.mark.parametrize(
    "tap", ["norm1", "attn.q", "attn.logits", "ffn.up", "rope.sin", "registers", "cls"]
)
def test_tokens_are_those_of_the_worst_ones_image_and_the_largest_is_the_comparisons(tap, rng):
    known, shown = measured(tap, rng)
    one = compare(known, shown)
    told = breakdown(known, shown, one.token)
    assert max(told["tokens"]) == pytest.approx(one.token_ratio, rel=0.005)
    axes = VIT.taps[tap].token_axes
    inside = tuple(k for k in range(shown.ndim) if k not in axes)
    errors = np.sqrt(np.square(shown - known.truth).mean(inside)) / known.floor.tokens
    if "B" in VIT.taps[tap].shape:
        assert told["image"] == one.token[0]
        errors = errors[one.token[0]]
    assert told["tokens"] == pytest.approx(np.atleast_1d(errors), rel=0.006)


@pytest.mark.parametrize(
    ("tap", "names"),
    [("norm1", ["channel"]), ("attn.q", ["head", "channel"]), ("attn.probs", ["head"])],
)
def test_along_an_axis_the_error_of_a_place_is_over_all_tokens(tap, names, rng):
    known, shown = measured(tap, rng)
    told = breakdown(known, shown, compare(known, shown).token)["along"]
    assert list(told) == names
    axis = VIT.taps[tap].shape.index(
        {"head": "h", "channel": "D" if tap == "norm1" else "d"}[names[-1]]
    )
    others = tuple(k for k in range(shown.ndim) if k != axis)
    squares = np.square(shown - known.truth).sum(others)
    last = told[names[-1]]
    assert (last["size"], last["worst"]) == (squares.size, int(squares.argmax()))
    assert last["share"] == pytest.approx(squares.max() / squares.sum(), rel=0.01)
    expected = np.sqrt(squares.max() * squares.size / shown.size) / known.floor.value
    assert max(last["ratio"]) == pytest.approx(expected, rel=0.01)


def test_one_wrong_channel_holds_the_error_and_stays_visible_among_many(rng):
    known, shown = measured("ffn.up", rng)
    shown[:, :, 700] += 1
    told = breakdown(known, shown, compare(known, shown).token)["along"]["channel"]
    assert (told["size"], told["worst"], told["share"]) == (1536, 700, 1.0)
    assert len(told["ratio"]) == POINTS and np.argmax(told["ratio"]) == 700 // 12


def test_an_exact_tap_has_no_share_and_an_overflow_no_number(rng):
    known, _ = measured("norm1", rng)
    same = breakdown(known, known.truth.astype(np.float32), (0, 0))
    assert max(same["tokens"]) < 2
    huge = np.full_like(known.meta, 3e38)
    told = breakdown(known, huge, (0, 0))
    assert told["along"] == {} and all(r is None or r > 1e30 for r in told["tokens"])


def drawn(tap, tokens, grid):
    worst = replace(taken(tap, 70.0), grid=grid, batch=2)
    told = {
        "image": 1,
        "tokens": tokens,
        "along": {"channel": {"worst": 5, "size": 384, "share": 0.93}},
    }
    return draw(VITS16, worst, told).splitlines()


def test_the_picture_shows_each_token_where_it_stands():
    tokens = [0.9, 1.0, 2.0, 3.0, 70.0, 1.0, 1.25, 5000.0, None]
    assert drawn("norm1", tokens, (2, 2)) == [
        "Ratio of each token, limit 6, on B2 2x2 seed=0, image 2 of 2:",
        "  cls 0.9",
        "  registers 1 2 3 70",
        "  patches 2×2",
        "      1 1.2",
        "    5e3   ∞",
        "  channel 5 of 384 holds 93 % of the squared error",
    ]


def test_the_picture_of_many_tokens_has_shades_from_half_the_limit():
    shares = [0.4, 0.6, 1.1, 2.1, 4.1, 8.1, None, *[0.1] * 193]
    lines = drawn("patches", [share and 6 * share for share in shares], (10, 20))
    assert lines[1] == "  patches 10×20, from half the limit, each shade twice the one before"
    assert lines[2] == "    | ·░▒▓██" + " " * 13 + "|" and lines[3] == "    |" + " " * 20 + "|"


@pytest.mark.parametrize(
    ("tap", "sizes"),
    [
        ("norm1", {"cls": 1, "registers": 4, "patches": 6}),
        ("rope.sin", {"patches": 6}),
        ("registers", {"registers": 4}),
        ("cls", {}),
    ],
)
def test_tokens_are_parted_as_the_tap_table_has_them(tap, sizes, rng):
    known, shown = measured(tap, rng)
    tokens = breakdown(known, shown, compare(known, shown).token)["tokens"]
    assert {
        name: len(part) for name, part in VIT.split(VITS16, VIT.taps[tap], tokens).items()
    } == sizes


def test_a_channel_that_holds_next_to_nothing_is_not_named():
    worst = replace(taken("norm1", 70.0), grid=(1, 1), batch=1)
    along = {"channel": {"worst": 5, "size": 384, "share": 0.004}}
    lines = draw(VITS16, worst, {"image": 0, "tokens": [70.0] * 6, "along": along})
    assert "channel" not in lines
