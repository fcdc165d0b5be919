"""Layer 2: what stands before and after the blocks, each on Meta's own input."""

import pytest

from parity.strategies import over_inputs
from parity.taps import EMBED, HEAD


@pytest.mark.contract("embedding")
@over_inputs
def test_embedding_and_rope_tables(stage, reference_on, gauge, drawn):
    reference = reference_on(drawn)
    gauge.begin(reference)
    gauge.compare(EMBED, stage.embed(reference.images))
    gauge.hold()


@pytest.mark.contract("final norm")
@over_inputs
def test_final_norm(stage, variant, reference_on, gauge, drawn):
    reference = reference_on(drawn)
    gauge.begin(reference)
    gauge.compare(HEAD, stage.head(reference.block_input(variant.depth)))
    gauge.hold()
