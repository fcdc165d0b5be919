"""Layer 5: the exported files themselves, beside tapped copies that say where they depart.

Tapping can change which nodes a runtime fuses, so the untouched file is what is judged; the copy's
taps are measured too, and its result must be as faithful as the file's.
"""

import pytest
from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.records.measurement import CHAINED


@pytest.mark.contract("file")
def test_the_untouched_file(exported, file_reference, comparator):
    comparator.begin(file_reference)
    shown = exported.features(file_reference.images)
    comparator.compare(file_reference.places[-1], shown, CHAINED)
    comparator.hold()
    hold_published(file_reference, shown, comparator.known)


@pytest.mark.contract("tapped copy")
@pytest.mark.forms("static", "batch")  # `size` is tapped block by block in the layers below
def test_its_tapped_copy_block_by_block(exported, level, file_reference, comparator):
    comparator.runtime += ", tapped copy"
    comparator.begin(file_reference)
    blocks, head = exported.chain(file_reference.images)
    *between, last = file_reference.places[1:]
    for place, shown in zip(between, blocks, strict=True):
        comparator.compare(place, shown, CHAINED)
    comparator.compare(last, head, CHAINED)
    comparator.hold()
