"""Every piece of a file's output is compared, and one that is wrong or not there fails."""

from functools import cache

import numpy as np
import pytest
from dinov3_parity.fixtures.reference.base import Reference
from dinov3_parity.parity.comparator import Departure
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.outputs.comparing import OutputComparator
from dinov3_parity.parity.outputs.forms import Layout
from dinov3_parity.parity.outputs.pieces import sources, unknown
from dinov3_parity.parity.outputs.recognition import assumed
from dinov3_parity.parity.records.deviations import Deviation
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.yardstick import standard

VITS16 = VARIANTS["vits16"]
HEAD = VIT.places(VITS16)[-1]
DRAWN = Input(2, (2, 8), seed=1)
LAST, BEFORE = list(sources(VITS16))[:2]
SHAPES = {"tokens": (2, 21, 384), "cls": (2, 384), "map": (2, 384, 2, 8), "pooled": (2, 384)}


@cache
def standards():
    rng, made = np.random.default_rng(0), {}
    truth = rng.standard_normal((2, 21, 384))
    meta, twin = (
        np.float32(truth * (1 + 1e-7 * rng.standard_normal(truth.shape))) for _ in range(2)
    )
    taken = {
        "norm": lambda x: x, "cls": lambda x: x[:, 0], "registers": lambda x: x[:, 1:5],
        "patches": lambda x: x[:, 5:], "pooled": lambda x: x[:, 5:].mean(1), "output": lambda x: x,
    }  # fmt: skip
    for tap, take in taken.items():
        made[tap] = standard(VIT.taps[tap], take(truth), {"meta": take(meta), "twin": take(twin)})
    return made


class Made(Reference):
    def part(self, place, mode=CHAINED):
        return standards()


def pieces():
    at = Layout(VITS16.prefix, DRAWN.grid)
    parts = {name: assumed(name, shape, at, LAST).parts for name, shape in SHAPES.items()}
    return {piece.key: piece for of in parts.values() for part, _ in of for piece in part.pieces()}


def shown():
    return {key: standards()[piece.tap].meta.copy() for key, piece in pieces().items()}


def compared(values, known=None, **more):
    known = known or pieces()
    one = OutputComparator(
        VITS16, "file", "outputs", "", {(CHAINED, HEAD): tuple(known)}, lambda found: None,
        pieces=known, **more,
    )  # fmt: skip
    one.begin(Made(VITS16, DRAWN))
    one.compare(HEAD, values)
    one.compare(HEAD, {})  # a second time there is nothing left to compare
    return one


def plain():
    """The pieces that hold a tap as it is, patches of every token among them."""
    return {
        key: piece
        for key, piece in pieces().items()
        if piece.standard(standards(), VITS16, DRAWN.grid, None).meta.shape
        == standards()[piece.tap].meta.shape
    }


def test_every_piece_of_an_output_is_compared():
    known = plain()
    assert {piece.tap for piece in known.values()} >= {"cls", "registers", "patches"}
    one = compared(shown(), known)
    one.hold()
    assert one.accounts[0].declared == one.accounts[0].compared == len(known)


@pytest.mark.parametrize("key", plain())
def test_each_piece_can_fail(key):
    without = shown()
    del without[key]
    wrong = shown()
    wrong[key] *= 1.001
    for values, words in ((without, "absent"), (wrong, "times the rounding floor")):
        with pytest.raises(Departure, match=words):
            compared(values, plain()).hold()


def test_what_is_wrong_of_a_place_is_not_forgotten_at_the_next():
    at = Layout(VITS16.prefix, DRAWN.grid)
    ((part, _),) = assumed("hidden", SHAPES["tokens"], at, BEFORE).parts
    (piece,) = part.pieces()
    known = plain() | {piece.key: piece}
    contract = {(CHAINED, piece.place): (piece.key,), (CHAINED, HEAD): tuple(plain())}
    one = OutputComparator(
        VITS16, "file", "outputs", "", contract, lambda found: None, pieces=known
    )
    one.begin(Made(VITS16, DRAWN))
    one.compare(piece.place, {piece.key: 1.001 * standards()["output"].meta})
    one.compare(HEAD, shown())
    assert one.accounts[0].compared == len(known)
    with pytest.raises(Departure, match="block 11, output"):
        one.hold()


def test_a_form_that_nobody_knows_is_a_departure():
    strange = unknown("y", (2, 7), "no known form", LAST)
    one = compared({strange.key: standards()["cls"].meta}, {strange.key: strange})
    with pytest.raises(Departure, match="none of the known forms"):
        one.hold()


def test_what_is_known_of_an_output_is_no_departure():
    (key, *_) = plain()
    entry = Deviation("d.toml, entry 1", ["file"], ["*"], [plain()[key].tap], 1e6, reason="why")
    wrong = shown()
    wrong[key] *= 1.001
    compared(wrong, plain(), deviations=(entry,)).hold()
