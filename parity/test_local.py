"""Layer 2: each operation alone, on Meta's own values of the taps before it: no fault hides another."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_inputs


@pytest.mark.contract("operations")
@over_inputs
def test_every_operation_stays_at_the_floor(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
