"""Layer 3: each block alone, fed Meta's own input of it: a fault shows in its own place."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_inputs


@pytest.mark.contract("blocks")
@over_inputs
def test_every_tap_of_every_block_stays_at_the_floor(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
