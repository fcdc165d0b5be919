"""Layer 2: what stands before and after the blocks, each on Meta's own input."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_inputs


@pytest.mark.contract("embedding")
@over_inputs
def test_embedding_and_rope_tables(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()


@pytest.mark.contract("final norm")
@over_inputs
def test_final_norm(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
