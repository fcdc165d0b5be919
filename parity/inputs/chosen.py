"""Inputs that nobody draws: those that faults are known to show themselves on, and what files are run on.

NumPy alone, for who asks of them needs no Hypothesis.
"""

from __future__ import annotations

from dinov3_parity.parity.inputs.drawn import CHAIN, EVERY, Input

SMALL = Input(2, (2, 8), seed=1)  # not square: rope and flattening; two images: leaks between them
SQUARE = Input(1, (14, 14), seed=2)  # what the published exports are made for

#: Shapes and contents that faults are known to show themselves on, the smallest first.
TRAPS = (SMALL, SQUARE)

#: As many patches as ``SMALL``, in another grid.
SAME_COUNT = Input(2, (4, 4), seed=11)

#: What the whole model is run on beside the inputs of its blocks, in this order: sizes, batches and
#: values that a model may treat apart, each class of ``parity.inputs.covered`` once. Contents and scales
#: were chosen so that as many pairs as may be are among them.
COVER = (
    SAME_COUNT,
    Input(5, (3, 5), seed=12, scale=1000.0),
    Input(1, (1, 70), seed=13, content="saturated", scale=10.0),
    Input(1, (21, 20), seed=14, content="checkerboard", scale=100.0),
    Input(1, (33, 32), seed=15, content="photograph", scale=10.0),
    Input(2, (5, 37), seed=16, content="hot", scale=0.1),
    Input(2, (2, 8), seed=17, content="constant", scale=0.01),
)

#: What the exported files are run on, and how much of its reference is kept: one image
#: for the static file; two for the dynamic ones, so that images of a batch could leak.
FILE_INPUTS = {
    "size": (SMALL, EVERY),
    "batch": (Input(2, (14, 14), seed=3), CHAIN),
    "static": (SQUARE, EVERY),
}
