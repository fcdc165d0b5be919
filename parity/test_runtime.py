"""Layer 5: the exported files themselves, beside tapped copies that say where they depart.

Tapping can change which nodes a runtime fuses, so the untouched file is what is judged; the copy's
taps are measured too, and its result must be as faithful as the file's.
"""

import pytest

from parity.gauge import published_gate
from parity.measurements import CHAINED
from parity.taps import CHAINED as HANDED_ON
from parity.taps import HEAD

SHOWN = HANDED_ON[1:]  # a block's input is the output of the block before
RETURNED = ("cls", "patches", "pooled")


def test_the_untouched_file(exported, file_recording, gauge):
    recording = file_recording
    shown = exported.features(recording.images)
    standards = recording.part(HEAD, CHAINED)
    gauge.compare(shown, standards, RETURNED, recording.input, CHAINED)
    gauge.hold()
    for tap in ("cls", "pooled"):
        gate = published_gate(shown[tap], standards.meta(tap))
        assert gate.passed, f"{tap}: cosine {gate.cosine:.9f}, max |Δ| {gate.max_abs:.2e}"


@pytest.mark.forms("static", "batch")  # `size` is tapped block by block in the layers below
def test_its_tapped_copy_block_by_block(exported, level, file_recording, gauge):
    recording = file_recording
    gauge.runtime += ", tapped copy"
    blocks, head = exported.chain(recording.images)
    for i, shown in enumerate(blocks):
        standards = recording.block(i, CHAINED)
        gauge.compare(shown, standards, SHOWN, recording.input, CHAINED, block=i)
    standards = recording.part(HEAD, CHAINED)
    gauge.compare(head, standards, ("norm", *RETURNED), recording.input, CHAINED)
    gauge.hold()
