"""Layer 6: the published workflow's own acceptance: an image in, CLS and pooled patches out."""

import pytest

from parity.gauge import hold_published
from parity.measurements import CHAINED
from parity.taps import HEAD


@pytest.mark.contract("whole model")
def test_cls_and_pooled_patches_of_the_whole_model(stage, square_reference, gauge):
    gauge.begin(square_reference)
    shown = stage.features(square_reference.images)
    gauge.compare(HEAD, shown, CHAINED)
    gauge.hold()
    hold_published(shown, square_reference.part(HEAD, CHAINED))
