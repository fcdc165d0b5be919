"""Mistakes inside a block: norms, rotation, attention, FFN, residuals, precision.

Edits are written against the array API standard, so that one text is wrong in PyTorch, JAX and
NumPy alike; arrays may come with or without a batch or head axis in front.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dinov3_parity.parity.faults import Fault, Site


def xp_of(x):
    from array_api_compat import array_namespace

    return array_namespace(x)


def half(x):
    """Rounded to float16 and back."""
    xp = xp_of(x)
    return xp.astype(xp.astype(x, xp.float16), xp.float32)


def brain(x):
    """Rounded to bfloat16, the upper half of a float32, and back."""
    return _fewer_bits(x, 8)


def tf32(x):
    """Rounded to the 11 bits of an NVIDIA tensor core's input."""
    return _fewer_bits(x, 11)


def _fewer_bits(x, bits: int):
    """Rounded to a significand of so many bits: Veltkamp's splitting."""
    big = x * (2.0 ** (24 - bits) + 1)
    return big - (big - x)


def _norm(
    centre: bool = True, eps: float | None = None, unbiased: bool = False, outside: bool = False
):
    """A LayerNorm with something wrong about it."""

    def edit(x, weight, bias, right_eps):
        xp = xp_of(x)
        own = right_eps if eps is None else eps
        middle = xp.mean(x, axis=-1, keepdims=True) if centre else 0.0
        gap = x - middle
        count = x.shape[-1] - 1 if unbiased else x.shape[-1]
        variance = xp.sum(gap * gap, axis=-1, keepdims=True) / count
        root = xp.sqrt(variance) + own if outside else xp.sqrt(variance + own)
        return gap / root * weight + bias

    return edit


def _in_bfloat16(x, weight, bias, eps):
    return _norm()(brain(x), weight, bias, eps)


def _no_norm(x, weight, bias, eps):
    return x


def _only(letter: str):
    return lambda rotate, x, sin, cos, which: rotate(x, sin, cos) if which == letter else x


def _pairs(rotate, x, sin, cos, which):
    """Neighbours rotated together, as in the first rope, with tables made for halves."""
    xp, prefix = xp_of(x), x.shape[-2] - sin.shape[-2]
    head, patches = x[..., :prefix, :], x[..., prefix:, :]
    even, odd = patches[..., 0::2], patches[..., 1::2]
    turned = xp.reshape(xp.stack((-odd, even), axis=-1), patches.shape)
    return xp.concat((head, patches * cos + turned * sin), axis=-2)


def _prefix_last(rotate, x, sin, cos, which):
    """The first tokens rotated: cls and the registers were taken for patches."""
    xp, count = xp_of(x), sin.shape[-2]
    prefix = x.shape[-2] - count
    moved = xp.concat((x[..., count:, :], x[..., :count, :]), axis=-2)
    turned = rotate(moved, sin, cos)
    return xp.concat((turned[..., prefix:, :], turned[..., :prefix, :]), axis=-2)


def _registers_rotated(rotate, x, sin, cos, which):
    """The registers rotated as the first patches are."""
    xp, prefix = xp_of(x), x.shape[-2] - sin.shape[-2]
    count = min(prefix - 1, sin.shape[-2])
    part = x[..., prefix - count : prefix, :]
    turned = rotate(part, sin[:count, :], cos[:count, :])
    right = rotate(x, sin, cos)
    return xp.concat((x[..., : prefix - count, :], turned, right[..., prefix:, :]), axis=-2)


def _softmax(x, axis: int = -1, extra: float = 0.0):
    xp = xp_of(x)
    powers = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return powers / (xp.sum(powers, axis=axis, keepdims=True) + extra)


def _logits_of(probs):
    """Logits that a row of probabilities comes from, up to what softmax does not see."""
    xp = xp_of(probs)
    return xp.log(xp.where(probs > 0, probs, xp.full_like(probs, 1e-38)))


def _causal(logits):
    xp = xp_of(logits)
    places = xp.arange(logits.shape[-1])
    later = places[None, :] > places[:, None]
    return xp.where(later, xp.full_like(logits, -1e9), logits)


def _last_key_masked(logits):
    xp = xp_of(logits)
    last = xp.arange(logits.shape[-1]) == logits.shape[-1] - 1
    return xp.where(last, xp.full_like(logits, -1e9), logits)


def _registers_masked(logits, variant):
    xp = xp_of(logits)
    places = xp.arange(logits.shape[-1])
    registers = (places > 0) & (places < variant.prefix)
    return xp.where(registers, xp.full_like(logits, -1e9), logits)


def _dropped(probs, variant, key=0):
    """Dropout of a tenth of the probabilities, the same in every head."""
    xp = xp_of(probs)
    kept = np.random.default_rng(key).random(probs.shape[-2:]) >= 0.1
    return xp.where(xp.asarray(kept), probs / 0.9, xp.zeros_like(probs))


def _clipped(logits):
    return xp_of(logits).clip(logits, -1.0, 1.0)


def _merged(change: Callable):
    """Heads merged in another order: change((..., h, d)) of the merged context."""

    def edit(context, variant):
        xp = xp_of(context)
        split = xp.reshape(context, (*context.shape[:-1], variant.heads, variant.head_dim))
        return xp.reshape(change(xp, split), context.shape)

    return edit


def _sigmoid(x):
    return 1 / (1 + xp_of(x).exp(-x))


def _tanh_gelu(x):
    xp = xp_of(x)
    return 0.5 * x * (1 + xp.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def _relu(x):
    xp = xp_of(x)
    return xp.where(x > 0, x, xp.zeros_like(x))


def _call(site: Site, tap: str):
    return lambda name, words, edit, **more: Fault(name, words, site, tap, edit, 0, **more)


_norms, _rotated_q = _call(Site.NORM, "norm1"), _call(Site.ROTATE, "attn.q")
_rotated_k, _activated = _call(Site.ROTATE, "attn.k"), _call(Site.ACTIVATION, "ffn.hidden")


def _value(tap, name, words, edit) -> Fault:
    """A mistake that is the same for every variant."""
    return _value_of(tap, name, words, lambda value, variant: edit(value))


def _value_of(tap, name, words, edit, keyed=False) -> Fault:
    return Fault(name, words, Site.VALUE, tap, edit, 0, keyed=keyed)


FAULTS = (
    _norms("LayerNorm eps 1e-6", "another framework's default", _norm(eps=1e-6)),
    Fault("final norm eps 1e-6", "another framework's default", Site.NORM, "norm", _norm(eps=1e-6)),
    _norms("LayerNorm eps 1e-12", "a language model's default", _norm(eps=1e-12)),
    _norms("LayerNorm eps outside the root", "added to the deviation", _norm(outside=True)),
    _norms("unbiased variance", "divided by D - 1", _norm(unbiased=True)),
    _norms("RMSNorm", "the mean was not taken off", _norm(centre=False)),
    _norms("LayerNorm in bfloat16", "its input was cast by autocast", _in_bfloat16),
    _norms("pre-norm left out", "normalized after the branch, not before", _no_norm),
    _rotated_k("only q rotated", "k was forgotten", _only("q"), hidden="one patch"),
    _rotated_q("only k rotated", "q was forgotten", _only("k"), hidden="one patch"),
    _rotated_q("neighbours rotated in pairs", "interleaved, where DINOv3 has halves", _pairs,
               hidden="one patch"),
    _rotated_q("rotated the other way", "the sign of the sine",
               lambda rotate, x, sin, cos, which: rotate(x, -sin, cos), hidden="one patch"),
    _rotated_q("rotated twice", "once in the cache, once in attention",
               lambda rotate, x, sin, cos, which: rotate(rotate(x, sin, cos), sin, cos),
               hidden="one patch"),
    _rotated_q("first tokens rotated", "the prefix was taken for the last tokens", _prefix_last,
               hidden="one patch"),
    _rotated_q("registers rotated", "the registers were given positions", _registers_rotated,
               hidden="one patch"),
    _rotated_q("rotation in bfloat16", "tables and heads cast by autocast",
               lambda rotate, x, sin, cos, which: brain(rotate(brain(x), sin, cos))),
    _value("attn.q_proj", "matrix products in TF32", "the framework's default on a GPU", tf32),
    _value("attn.v_proj", "values in float16", "the cache of values in half precision", half),
    _value_of("attn.logits", "scale missing", "q k^T was not divided by sqrt(d)",
              lambda x, variant: x * variant.head_dim**0.5),
    _value_of("attn.logits", "scale twice", "q was scaled, and the scores again",
              lambda x, variant: x * variant.head_dim**-0.5),
    _value_of("attn.logits", "scale by the model's width", "1 / sqrt(D) for 1 / sqrt(d)",
              lambda x, variant: x * variant.heads**-0.5),
    _value("attn.logits", "scale off by one part in 100,000", "0.125 went through a text file",
           lambda x: x * (1 + 1e-5)),
    _value("attn.logits", "logits in bfloat16", "scores computed by autocast", brain),
    _value("attn.logits", "logits clipped", "soft-capped as in another model", _clipped),
    _value("attn.logits", "causal mask", "an attention mask of language models was left on", _causal),
    _value("attn.logits", "last key masked", "a padding mask one too long", _last_key_masked),
    _value_of("attn.logits", "registers masked", "registers were kept from being attended to",
              _registers_masked),
    _value("attn.probs", "softmax over the queries", "the other axis",
           lambda p: _softmax(_logits_of(p), axis=-2)),
    _value("attn.probs", "softmax in bfloat16", "probabilities cast to the values' type", brain),
    _value("attn.probs", "softmax with a sink", "one more in the denominator",
           lambda p: _softmax(_logits_of(p), extra=1.0)),
    _value("attn.probs", "dropout left on", "probabilities scaled as in training",
           lambda p: p / 0.9),
    _value_of("attn.probs", "attention dropped at random", "by a key: inference mode was not switched on",
              _dropped, keyed=True),
    _value_of("attn.context", "heads permuted on merge", "(d, head) where it is (head, d)",
              _merged(lambda xp, c: xp.permute_dims(c, (*range(c.ndim - 2), c.ndim - 1, c.ndim - 2)))),
    _value_of("attn.context", "heads reversed on merge", "heads merged from the last to the first",
              _merged(lambda xp, c: xp.flip(c, axis=-2))),
    _value("attn.out", "attention output in bfloat16", "cast at the end of the fused kernel", brain),
    _value("norm1", "approximate reciprocal root", "a GPU's fast instruction, right to 20 bits",
           lambda x: x * (1 + 2.0**-20)),
    _value("attn.probs", "fast exponential", "probabilities add up to one within 17 bits",
           lambda p: p * (1 + 2.0**-17)),
    _value("ls1", "first branch scaled by 1 / (1 - drop)", "stochastic depth left on",
           lambda x: x / 0.98),
    _value("ffn.hidden", "hidden units in bfloat16", "the FFN ran under autocast", brain),
    _value("ffn.out", "FFN output in float16", "accumulated in half precision", half),
    _value("output", "residual stream in float16", "the model was cast to half", half),
    _value("output", "residual stream in bfloat16", "the model was cast to bfloat16", brain),
    _activated("GELU by tanh", "the approximation, for the error function", _tanh_gelu, ffn="mlp"),
    _activated("quick GELU", "x sigmoid(1.702 x), CLIP's", lambda x: x * _sigmoid(1.702 * x),
               ffn="mlp"),
    _activated("ReLU for GELU", "another activation", _relu, ffn="mlp"),
    _activated("SiLU for GELU", "another activation", lambda x: x * _sigmoid(x), ffn="mlp"),
    _activated("GELU by tanh for SiLU", "GeGLU for SwiGLU", _tanh_gelu, ffn="swiglu"),
    _activated("sigmoid for SiLU", "the gate was not multiplied by itself", _sigmoid, ffn="swiglu"),
    _activated("ReLU for SiLU", "ReGLU for SwiGLU", _relu, ffn="swiglu"),
)  # fmt: skip
