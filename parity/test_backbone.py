"""Layer 4: the chain, each stage fed its own output: errors accumulate as in use."""

from parity import taps
from parity.measurements import CHAINED


def test_errors_grow_no_faster_than_float32_lets_them(stage, stage_name, variant, recording, gauge):
    drawn = recording.input
    tokens = stage.embed(recording.images)["tokens"]
    for i in range(variant.depth):
        shown = stage.block(i, tokens, drawn.grid)
        gauge.compare(shown, recording.block(i, CHAINED), taps.CHAINED, drawn, CHAINED, block=i)
        tokens = shown["output"]
    declared = tuple(tap.name for tap in taps.taps_of(taps.HEAD, variant, stage_name))
    gauge.compare(stage.head(tokens), recording.part(taps.HEAD, CHAINED), declared, drawn, CHAINED)
    gauge.hold()
