"""The stage all others are held against: Meta's own float32, as the recordings keep it.

Its ratio is at most 1 by the floor's definition; what can fail here is a tap that is absent, of a
shape other than the tap table's, constant or not finite, and so no standard to measure by.
"""

from parity import taps
from parity.measurements import CHAINED, ISOLATED


def meta_of(part, declared):
    return {name: part.meta(name) for name in declared}


def test_every_tap_of_meta_is_a_standard(recording, variant, gauge):
    drawn = recording.input

    def measure(name, block=None, mode=ISOLATED):
        part = recording.part(name, mode) if block is None else recording.block(block, mode)
        declared = tuple(part)
        for tap in declared:
            shape = taps.extent(taps.TAPS[tap], variant, drawn.batch, drawn.grid)
            assert part.meta(tap).shape == shape, f"{tap}: {part.meta(tap).shape}, not {shape}"
        gauge.compare(meta_of(part, declared), part, declared, drawn, mode, block=block)

    measure(taps.EMBED)
    for i in range(variant.depth):
        measure("block", i)
        measure("block", i, CHAINED)
    measure(taps.HEAD)
    measure(taps.HEAD, mode=CHAINED)
    gauge.hold()
