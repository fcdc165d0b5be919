"""Layer 4: the chain, each stage fed its own output: errors accumulate as in use."""

import pytest

from parity.measurements import CHAINED
from parity.strategies import over_inputs
from parity.taps import HEAD


@pytest.mark.contract("chain")
@over_inputs
def test_errors_grow_no_faster_than_float32_lets_them(stage, variant, reference_on, gauge, drawn):
    reference = reference_on(drawn)
    gauge.begin(reference)
    tokens = stage.embed(reference.images)["tokens"]
    for i in range(variant.depth):
        shown = stage.block(i, tokens, drawn.grid)
        gauge.compare(i, shown, CHAINED)
        tokens = shown["output"]
    gauge.compare(HEAD, stage.head(tokens), CHAINED)
    gauge.hold()
