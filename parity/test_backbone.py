"""Layer 4: the chain, each stage fed its own output: errors accumulate as in use."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_inputs


@pytest.mark.contract("chain")
@over_inputs
def test_errors_grow_no_faster_than_float32_lets_them(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
