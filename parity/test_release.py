"""Layer 6: the published workflow's own acceptance: an image in, CLS and pooled patches out."""

import pytest
from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.records.measurement import CHAINED


@pytest.mark.contract("whole model")
def test_cls_and_pooled_patches_of_the_whole_model(stage, square_reference, comparator):
    comparator.begin(square_reference)
    shown = stage.features(square_reference.images)
    comparator.compare(square_reference.places[-1], shown, CHAINED)
    comparator.hold()
    hold_published(square_reference, shown, comparator.known)
