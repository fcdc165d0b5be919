"""Layer 6: the published workflow's own acceptance: an image in, CLS and pooled patches out."""

import pytest

from parity.gauge import published_gate
from parity.inputs import parse
from parity.measurements import CHAINED
from parity.taps import HEAD

COMPARED = ("cls", "pooled")


@pytest.fixture
def recording(pipe):
    return pipe.recording(parse("B1 14x14 seed=2"))


def test_cls_and_pooled_patches_of_the_whole_model(stage, recording, gauge):
    standards = recording.part(HEAD, CHAINED)
    shown = stage.features(recording.images)
    gauge.compare(shown, standards, COMPARED, recording.input, CHAINED)
    gauge.hold()
    for tap in COMPARED:
        gate = published_gate(shown[tap], standards.meta(tap))
        assert gate.passed, f"{tap}: cosine {gate.cosine:.9f}, max |Δ| {gate.max_abs:.2e}"
