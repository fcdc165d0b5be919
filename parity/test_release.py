"""Layer 6: the published workflow's own acceptance: an image in, CLS and pooled patches out."""

import pytest

from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.taps import HEAD


@pytest.mark.contract("whole model")
def test_cls_and_pooled_patches_of_the_whole_model(stage, square_reference, gauge):
    gauge.begin(square_reference)
    shown = stage.features(square_reference.images)
    gauge.compare(HEAD, shown, CHAINED)
    gauge.hold()
    hold_published(shown, square_reference.part(HEAD, CHAINED))
