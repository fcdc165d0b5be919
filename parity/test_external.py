"""Layer 7, of the large variants with every block: the whole model in one file, its weights beside it."""

import pytest
from dinov3_parity.parity.comparator import hold_published
from dinov3_parity.parity.inputs.chosen import SQUARE
from dinov3_parity.parity.records.measurement import CHAINED


@pytest.mark.contract("file")
def test_the_whole_model_in_one_file(stage_name, whole_file, reference_on, comparator):
    reference = reference_on(SQUARE)
    comparator.begin(reference)
    shown = whole_file.features(reference.images)
    comparator.compare(reference.places[-1], shown, CHAINED)
    comparator.hold()
    hold_published(reference, shown, comparator.known)


def test_the_file_is_valid_onnx(stage_name, whole_file):
    whole_file.check()
