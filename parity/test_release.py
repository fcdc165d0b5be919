"""Layer 6: the published workflow's own acceptance: an image in, CLS and pooled patches out."""

from parity.gauge import published_gate
from parity.measurements import CHAINED
from parity.taps import HEAD

COMPARED = ("cls", "pooled")


def test_cls_and_pooled_patches_of_the_whole_model(stage, square_recording, gauge):
    recording = square_recording
    standards = recording.part(HEAD, CHAINED)
    shown = stage.features(recording.images)
    gauge.compare(shown, standards, COMPARED, recording.input, CHAINED)
    gauge.hold()
    for tap in COMPARED:
        gate = published_gate(shown[tap], standards.meta(tap))
        assert gate.passed, f"{tap}: cosine {gate.cosine:.9f}, max |Δ| {gate.max_abs:.2e}"
