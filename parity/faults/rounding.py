"""Mistakes that no input tells from rounding: they do less than honest float32 may do.

They are a finding, not a gap: where such a mistake must show it stays within the limit on every
input that was tried, and ``why`` says what keeps it there. The scoreboard lists each with the
strongest ratio that was seen. One that goes over a limit belongs in the catalogue.
"""

from __future__ import annotations

import math

import numpy as np
from dinov3_parity.parity.faults import Fault, Site
from dinov3_parity.parity.faults.calls import xp_of
from dinov3_parity.parity.faults.weights import change_of, printed


def _one_pass(x, weight, bias, eps):
    xp = xp_of(x)
    middle = xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean(x * x, axis=-1, keepdims=True) - middle * middle
    return (x - middle) / xp.sqrt(variance + eps) * weight + bias


def _gelu_by_polynomial(x):
    """GELU with the error function of Abramowitz and Stegun, 7.1.26."""
    xp = xp_of(x)
    z = xp.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    series = 1.061405429
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = term + t * series
    beyond = t * series * xp.exp(-z * z) / 2  # of a normal variable, above |x|
    return x * xp.where(x > 0, 1 - beyond, beyond)


def _flushed(x):
    xp = xp_of(x)
    return xp.where(xp.abs(x) < float(np.finfo(np.float32).tiny), xp.zeros_like(x), x)


FAULTS = (
    Fault("subnormals flushed", "a processor's fast mode sets them to zero", Site.VALUE, "attn.probs",
          lambda x, variant: _flushed(x), 0,
          why="A probability under 1.2e-38 is 30 powers of ten under one rounding of its row's sum; "
              "what is lost never reaches a bit that float32 keeps."),
    Fault("LayerScale through text of seven digits", "a checkpoint dumped by printf('%.6e')",
          Site.WEIGHTS, "ls1", change_of("ls1.gamma", lambda g: printed(g, 7)), 0,
          why="Seven digits err by at most 5e-7 of a number and, over their spread, by one rounding "
              "of float32, which the product with the branch makes anyway. Six digits show."),
    Fault("variance in one pass", "E[x²] - E[x]² for E[(x - E[x])²]", Site.NORM, "norm1", _one_pass,
          0,
          why="The difference cancels where the mean is large beside the deviation; of DINOv3's "
              "tokens it is small beside it, massive channels and all."),
    Fault("error function by a polynomial", "Abramowitz and Stegun's 7.1.26, right to 1.5e-7",
          Site.ACTIVATION, "ffn.hidden", _gelu_by_polynomial, 0, ffn="mlp",
          why="Its error is a unit in the last place at one, where the hidden units are large; the "
              "projection before it errs by more."),
)  # fmt: skip
