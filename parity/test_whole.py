"""Layer 4: the whole model as its users call it, which may be another program than its blocks."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_whole_inputs


@pytest.mark.contract("whole")
@over_whole_inputs
def test_all_that_it_returns_is_metas(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
