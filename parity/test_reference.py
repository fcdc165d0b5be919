"""The stage all others are held against: Meta's own float32, as the recordings keep it.

Its ratio is at most 1 by the floor's definition; what can fail here is a tap that is absent, of a
shape other than the tap table's, constant or not finite, and so no standard to measure by.
"""

import pytest

from parity import taps
from parity.measurements import CHAINED, ISOLATED


def meta_of(part, declared):
    return {name: part.meta(name) for name in declared}


def measure(recording, variant, gauge, modes):
    """Hold every tap of a recording against the tap table and the yardstick."""
    drawn = recording.input

    def compare(part, mode, block=None):
        declared = tuple(part)
        for tap in declared:
            shape = taps.extent(taps.TAPS[tap], variant, drawn.batch, drawn.grid)
            assert part.meta(tap).shape == shape, f"{tap}: {part.meta(tap).shape}, not {shape}"
        gauge.compare(meta_of(part, declared), part, declared, drawn, mode, block=block)

    compare(recording.part(taps.EMBED, ISOLATED), ISOLATED)
    for mode in modes:
        for i in range(variant.depth):
            compare(recording.block(i, mode), mode, i)
        compare(recording.part(taps.HEAD, mode), mode)
    gauge.hold()


def test_every_tap_of_meta_is_a_standard(recording, variant, gauge):
    measure(recording, variant, gauge, (ISOLATED, CHAINED))


@pytest.mark.forms("batch")  # the others are run on inputs measured above
def test_what_the_exported_files_are_run_on(file_recording, variant, gauge):
    measure(file_recording, variant, gauge, (CHAINED,))
