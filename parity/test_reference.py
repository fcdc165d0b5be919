"""The stage all others are held against: Meta's own float32, as the reference keeps it.

Its ratio is at most 1 by the floor's definition; what can fail here is a tap that is absent, of a
shape other than the tap table's, constant or not finite, and so no standard to measure by.
"""

import pytest

from parity.strategies import over_inputs
from parity.taps import TAPS, extent


def compare_everything(reference, variant, gauge):
    """Hold every tap that the contract names against the tap table and the yardstick."""
    drawn = reference.input
    gauge.begin(reference)
    for mode, place in gauge.declared:
        shown = {tap: standard.meta for tap, standard in reference.part(place, mode).items()}
        for tap, value in shown.items():
            shape = extent(TAPS[tap], variant, drawn.batch, drawn.grid)
            assert value.shape == shape, f"{tap}: {value.shape}, not {shape}"
        gauge.compare(place, shown, mode)
    gauge.hold()


@pytest.mark.contract("reference")
@over_inputs
def test_every_tap_of_meta_is_a_standard(variant, reference_on, gauge, drawn):
    compare_everything(reference_on(drawn), variant, gauge)


@pytest.mark.contract("reference chain")
@pytest.mark.forms("batch")  # the others are run on inputs measured above
def test_what_the_exported_files_are_run_on(file_reference, variant, gauge):
    compare_everything(file_reference, variant, gauge)
