"""The stage all others are held against: Meta's own float32, as the reference keeps it.

Its ratio is at most 1 by the floor's definition; what can fail here is a tap that is absent, of a
shape other than the tap table's, constant or not finite, and so no standard to measure by.
"""

import pytest
from dinov3_parity.parity.inputs.strategies import over_inputs


@pytest.mark.contract("reference")
@over_inputs
def test_every_tap_of_meta_is_a_standard(variant, measure_on, comparator, drawn):
    measure_on(drawn)
    comparator.hold()


@pytest.mark.contract("reference chain")
@pytest.mark.forms("batch")  # the others are run on inputs measured above
def test_what_the_exported_files_are_run_on(file_reference, variant, measure_on, comparator):
    measure_on(file_reference.input, file_reference)
    comparator.hold()
