"""transformers' model in an ONNX file, as people export it: names of its own, biases where Meta masks."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import torch

from selftests.support.stages import hugging_face


class Tokens(torch.nn.Module):
    """Images to every token after the final norm."""

    def __init__(self, model):
        super().__init__()
        self.m = model

    def forward(self, pixel_values):
        return self.m(pixel_values).last_hidden_state


def model(checkpoint, periods: bool = True):
    """transformers' model on a checkpoint; with ``periods`` Meta's own in the place of its unrounded."""
    made = hugging_face.model(checkpoint.variant)
    missing, unexpected = made.load_state_dict(hugging_face.state(checkpoint), strict=False)
    assert not unexpected, unexpected
    assert all("inv_freq" in name for name in missing), missing
    for one in made.modules():
        if periods and hasattr(one, "inv_freq"):
            one.inv_freq.copy_(torch.from_numpy(1 / checkpoint["rope_embed.periods"]))
    return made


def exported(
    checkpoint, to: Path, edit: Callable = lambda model: None, periods: bool = True
) -> Path:
    """An ONNX file of it that takes every batch and size, after an edit of the model."""
    made = model(checkpoint, periods)
    edit(made)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
        torch.onnx.export(
            Tokens(made), (torch.randn(2, 3, 64, 96),), str(to), input_names=["pixel_values"],
            dynamo=False, opset_version=17,
            dynamic_axes={"pixel_values": {0: "batch", 2: "height", 3: "width"}},
        )  # fmt: skip
    return to
