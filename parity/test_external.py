"""Layer 7, of the large variants with every block: the whole model in one file, its weights beside it."""

import pytest

from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.inputs.strategies import SQUARE
from dinov3_parity.parity.taps import HEAD


@pytest.mark.contract("file")
@pytest.mark.stages("onnx")
def test_the_whole_model_in_one_file(stage_name, whole_file, reference_on, gauge):
    reference = reference_on(SQUARE)
    gauge.begin(reference)
    shown = whole_file.features(reference.images)
    gauge.compare(HEAD, shown, CHAINED)
    gauge.hold()
    hold_published(shown, reference.part(HEAD, CHAINED))


@pytest.mark.stages("onnx")
def test_the_file_is_valid_onnx(stage_name, whole_file):
    whole_file.check()
