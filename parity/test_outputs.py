"""Layer 4: every output of a file as it is, held as what it was recognised as, on all that it takes."""

import pytest
from dinov3_parity.parity.inputs.strategies import over_whole_inputs


@pytest.mark.contract("outputs")
@over_whole_inputs
def test_each_output_is_what_it_is_recognised_as(stage, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()
