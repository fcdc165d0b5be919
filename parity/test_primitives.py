"""Layer 2: what stands before and after the blocks, each on Meta's own input."""

from parity import taps
from parity.measurements import ISOLATED


def names(part, variant, stage_name):
    return tuple(tap.name for tap in taps.taps_of(part, variant, stage_name))


def test_embedding_and_rope_tables(stage, stage_name, variant, recording, gauge):
    shown = stage.embed(recording.images)
    declared = names(taps.EMBED, variant, stage_name)
    gauge.compare(shown, recording.part(taps.EMBED, ISOLATED), declared, recording.input, ISOLATED)
    gauge.hold()


def test_final_norm(stage, stage_name, variant, recording, gauge):
    shown = stage.head(recording.block_input(variant.depth))
    declared = names(taps.HEAD, variant, stage_name)
    gauge.compare(shown, recording.part(taps.HEAD, ISOLATED), declared, recording.input, ISOLATED)
    gauge.hold()
