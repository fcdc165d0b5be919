"""Layers 2 to 4 of the large variants, block by block on one image of the workflow's size.

No stage holds the model: each makes a block from the checkpoint's slice of it, runs it on Meta's own
input and on its own, and lets it go.
"""

import pytest
from dinov3_parity.parity.inputs.chosen import SQUARE


@pytest.mark.contract("reference")
@pytest.mark.stages("every")
def test_every_block_alone_and_in_the_chain(stage, measure_on, comparator):
    measure_on(SQUARE)
    comparator.hold()
