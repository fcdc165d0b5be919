"""Layer 5: the exported files themselves, beside tapped copies that say where they depart.

Tapping can change which nodes a runtime fuses, so the untouched file is what is judged; the copy's
taps are measured too, and its result must be as faithful as the file's.
"""

import pytest

from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.taps import HEAD


@pytest.mark.contract("file")
def test_the_untouched_file(exported, file_reference, gauge):
    gauge.begin(file_reference)
    shown = exported.features(file_reference.images)
    gauge.compare(HEAD, shown, CHAINED)
    gauge.hold()
    hold_published(shown, file_reference.part(HEAD, CHAINED))


@pytest.mark.contract("tapped copy")
@pytest.mark.forms("static", "batch")  # `size` is tapped block by block in the layers below
def test_its_tapped_copy_block_by_block(exported, level, file_reference, gauge):
    gauge.runtime += ", tapped copy"
    gauge.begin(file_reference)
    blocks, head = exported.chain(file_reference.images)
    for i, shown in enumerate(blocks):
        gauge.compare(i, shown, CHAINED)
    gauge.compare(HEAD, head, CHAINED)
    gauge.hold()
