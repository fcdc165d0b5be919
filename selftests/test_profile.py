"""Where inside a tap a comparison erred: the same as computed plainly in float64."""

import numpy as np
import pytest

from parity.picture import parted
from parity.profile import POINTS, profile
from parity.taps import TAPS, extent
from parity.variants import VARIANTS
from parity.yardstick import compare, standard

VITS16 = VARIANTS["vits16"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def measured(tap, rng, batch=2, grid=(2, 3)):
    """A standard of a tap, and what a stage with float32 errors of its own shows there."""
    truth = rng.standard_normal(extent(TAPS[tap], VITS16, batch, grid))
    noise = lambda: (1e-7 * rng.standard_normal(truth.shape)).astype(np.float32)
    known = standard(tap, truth, {"meta": truth.astype(np.float32) + noise()})
    return known, truth.astype(np.float32) + noise()


@pytest.mark.parametrize(
    "tap", ["norm1", "attn.q", "attn.logits", "ffn.up", "rope.sin", "registers", "cls"]
)
def test_tokens_are_those_of_the_worst_ones_image_and_the_largest_is_the_comparisons(tap, rng):
    known, shown = measured(tap, rng)
    one = compare(known, shown)
    told = profile(known, shown, one.token)
    assert max(told["tokens"]) == pytest.approx(one.token_ratio, rel=0.005)
    axes = TAPS[tap].token_axes
    inside = tuple(k for k in range(shown.ndim) if k not in axes)
    errors = np.sqrt(np.square(shown - known.truth).mean(inside)) / known.floor.tokens
    if "B" in TAPS[tap].shape:
        assert told["image"] == one.token[0]
        errors = errors[one.token[0]]
    assert told["tokens"] == pytest.approx(np.atleast_1d(errors), rel=0.006)


@pytest.mark.parametrize(
    ("tap", "names"),
    [("norm1", ["channel"]), ("attn.q", ["head", "channel"]), ("attn.probs", ["head"])],
)
def test_along_an_axis_the_error_of_a_place_is_over_all_tokens(tap, names, rng):
    known, shown = measured(tap, rng)
    told = profile(known, shown, compare(known, shown).token)["along"]
    assert list(told) == names
    axis = TAPS[tap].shape.index(
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
    told = profile(known, shown, compare(known, shown).token)["along"]["channel"]
    assert (told["size"], told["worst"], told["share"]) == (1536, 700, 1.0)
    assert len(told["ratio"]) == POINTS and np.argmax(told["ratio"]) == 700 // 12


def test_an_exact_tap_has_no_share_and_an_overflow_no_number(rng):
    known, _ = measured("norm1", rng)
    same = profile(known, known.truth.astype(np.float32), (0, 0))
    assert max(same["tokens"]) < 2
    huge = np.full_like(known.meta, 3e38)
    told = profile(known, huge, (0, 0))
    assert told["along"] == {} and all(r is None or r > 1e30 for r in told["tokens"])


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
    tokens = profile(known, shown, compare(known, shown).token)["tokens"]
    assert {name: len(part) for name, part in parted(VITS16, tap, tokens).items()} == sizes
