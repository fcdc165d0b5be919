"""Layer 3: each block alone, fed Meta's own input of it: a fault shows in its own place."""

from parity import taps
from parity.measurements import ISOLATED


def test_every_tap_of_every_block_stays_at_the_floor(stage, stage_name, variant, recording, gauge):
    declared = tuple(tap.name for tap in taps.taps_of(taps.BLOCK, variant, stage_name))
    for i in range(variant.depth):
        shown = stage.block(i, recording.block_input(i), recording.input.grid)
        gauge.compare(shown, recording.block(i), declared, recording.input, ISOLATED, block=i)
    gauge.hold()
