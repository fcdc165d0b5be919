"""Layer runtime, in an environment of its own: is this file safe on this onnxruntime?"""

import pytest
from dinov3_parity.parity.matrix import deviations


def test_the_file_as_it_is(cell, model, measured, state):
    found = measured(cell, model)
    if words := deviations.unlisted(found, state["policy"]):
        pytest.fail(words, pytrace=False)
