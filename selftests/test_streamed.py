"""Blocks one at a time, and tests that travel together, measure what whole models and lone tests do."""

from dataclasses import replace

import numpy as np
import pytest

from fixtures.convoy import Member, carry
from fixtures.excerpt import Excerpt
from fixtures.pipeline import Pipeline
from fixtures.synthetic import Synthetic
from parity import contract
from parity.gauge import Departure, Gauge
from parity.inputs import Input
from parity.layout import layout
from parity.variants import VARIANTS, excerpt

VITS16 = VARIANTS["vits16"]
SMALL = Input(2, (2, 8), 1)


@pytest.fixture(scope="module")
def streamed(store):
    return Pipeline(VITS16, Synthetic(VITS16), store, streamed=True)


@pytest.mark.parametrize("name", ["equimo", "mapped", "onnx"])
@pytest.mark.parametrize("i", [0, 7])
def test_a_block_by_itself_is_the_block_of_the_whole_model(vits16, streamed, name, i):
    tokens = vits16.recording(SMALL).block_input(i)
    whole = vits16.stage(name).block(i, tokens, SMALL.grid)
    alone = streamed.stage(name).block(i, tokens, SMALL.grid)
    assert sorted(alone) == sorted(whole)
    for tap, value in whole.items():
        assert np.array_equal(alone[tap], value), tap


@pytest.mark.parametrize("name", ["equimo", "mapped", "onnx"])
def test_what_stands_around_the_blocks_survives_letting_one_go(vits16, streamed, name):
    stage, images = streamed.stage(name), SMALL.images()
    stage.rest()
    for tap, value in vits16.stage(name).embed(images).items():
        assert np.array_equal(stage.embed(images)[tap], value), tap


def test_an_excerpt_has_the_blocks_it_names():
    whole = Synthetic(VITS16)
    part = Excerpt(whole, (0, 6, 11))
    assert list(part) == list(layout(excerpt(VITS16, (0, 6, 11))))
    assert np.array_equal(part["blocks.1.ls1.gamma"], whole["blocks.6.ls1.gamma"])
    assert part["norm.weight"] is whole["norm.weight"]
    assert part.variant.number(2) == 11
    assert Excerpt(part, (2,)).variant.numbers == (11,)
    assert part.digest != Excerpt(whole, (0, 5, 11)).digest


def member(pipe, name, layer, taken, stage=None):
    declared = contract.declared(layer, pipe.variant, name)
    gauge = Gauge(pipe.variant, name, layer, "", declared, taken.extend)
    return Member(gauge, stage or pipe.stage(name))


def test_tests_that_travel_together_measure_what_each_measures_alone(vits16):
    alone, together = [], []
    for name, layer in (("equimo", "blocks"), ("onnx", "chain"), ("onnx", "embedding")):
        carry(member(vits16, name, layer, alone), (), vits16.recording(SMALL))
    members = [
        member(vits16, name, layer, together)
        for name, layer in (("equimo", "blocks"), ("onnx", "chain"), ("onnx", "embedding"))
    ]
    assert carry(members[0], members[1:], vits16.computed(SMALL)) == []
    figures = lambda found: {(m.stage, m.layer, m.block, m.tap): m.ratio for m in found}
    assert figures(together).keys() == figures(alone).keys()
    for place, ratio in figures(alone).items():
        assert figures(together)[place] == pytest.approx(ratio, rel=1e-3), place
    for one in members:
        assert one.gauge.settled(SMALL)
        one.gauge.hold()


def test_one_that_cannot_come_stops_no_other(vits16):
    class Broken:
        name = "broken"

        def block(self, i, tokens, grid):
            raise ValueError("no such operator")

    taken = []
    leader = member(vits16, "equimo", "blocks", taken)
    broken = member(vits16, "equimo", "blocks", taken, stage=Broken())
    assert carry(leader, [broken], vits16.recording(SMALL)) == [broken]
    assert not broken.gauge.settled(SMALL)
    assert leader.gauge.settled(SMALL)
    leader.gauge.hold()
    with pytest.raises(ValueError, match="no such operator"):
        carry(broken, [], vits16.recording(SMALL))


def test_a_departure_waits_for_its_own_turn(vits16):
    class Doubled:
        name = "doubled"

        def head(self, tokens):
            return {tap: 2 * v for tap, v in vits16.stage("meta").head(tokens).items()}

    leader = member(vits16, "equimo", "final norm", [])
    other = member(vits16, "equimo", "final norm", [], stage=Doubled())
    assert carry(leader, [other], vits16.recording(SMALL)) == []
    leader.gauge.hold()
    assert other.gauge.settled(SMALL)
    with pytest.raises(Departure, match="departs from meta at norm"):
        other.gauge.hold()


def test_an_excerpt_is_measured_under_its_blocks_own_numbers(store):
    part = Excerpt(Synthetic(replace(VITS16, name="vits16 (streamed)")), (0, 6))
    pipe, taken = Pipeline(part.variant, part, store, streamed=True), []
    one = member(pipe, "meta", "blocks", taken)
    carry(one, (), pipe.computed(SMALL))
    assert {m.block for m in taken} == {0, 6}
    one.gauge.hold()
