"""Mistakes in the weights: converted wrongly, in the wrong place, or stored in too few bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.faults import Fault, Site

PATCH = "patch_embed.proj"


def _each(variant, leaf: str) -> list[str]:
    """The names of a leaf in every place that has it."""
    return [tensor.name for tensor in family_of(variant).having(variant, leaf)]


def _of(variant, leaf: str, block: int) -> str:
    """The name of a leaf in one block."""
    place = family_of(variant).repeated(variant)[block]
    (tensor,) = (one for one in family_of(variant).at(variant, place) if one.leaf == leaf)
    return tensor.name


def change_of(leaf: str, change: Callable[[np.ndarray], np.ndarray], block: int | None = None):
    """An edit of one tensor: of one block, or of every place that has it."""

    def edit(weights, variant):
        for name in _each(variant, leaf) if block is None else [_of(variant, leaf, block)]:
            weights[name] = np.ascontiguousarray(change(weights[name]))

    return edit


def _thirds(change: Callable[..., tuple]):
    """An edit of the joint projection's thirds, weight and bias alike."""

    def edit(weights, variant):
        for leaf in ("weight", "bias", "bias_mask"):
            for name in _each(variant, f"attn.qkv.{leaf}"):
                weights[name] = np.concatenate(change(*np.split(weights[name], 3)))

    return edit


def _heads(change: Callable[[np.ndarray], np.ndarray]):
    """An edit of how the rows of q, k and v are laid out: change((3, heads, d, ...))."""

    def edit(weights, variant):
        for leaf in ("weight", "bias", "bias_mask"):
            for name in _each(variant, f"attn.qkv.{leaf}"):
                value = weights[name]
                rows = value.reshape(3, variant.heads, variant.head_dim, *value.shape[1:])
                weights[name] = np.ascontiguousarray(change(rows)).reshape(value.shape)

    return edit


def _exchange(first: str, second: str):
    """An edit that gives each of two modules of a block the other's tensors."""

    def edit(weights, variant):
        for name in [n for n in weights if f".{first}." in n]:
            other = name.replace(f".{first}.", f".{second}.")
            weights[name], weights[other] = weights[other], weights[name]

    return edit


def _from_block(source: Callable[[int], int]):
    """An edit after which block i has the weights of block source(i)."""

    def edit(weights, variant):
        old, family = dict(weights), family_of(variant)
        for i, place in enumerate(family.repeated(variant)):
            for tensor in family.at(variant, place):
                weights[tensor.name] = old[_of(variant, tensor.leaf, source(i))]

    return edit


def _folded(weights, variant):
    for leaf in ("weight", "bias"):
        for scale, name in zip(
            _each(variant, "ls1.gamma"), _each(variant, f"attn.proj.{leaf}"), strict=True
        ):
            gamma = weights[scale]
            weights[name] = gamma.reshape(-1, *[1] * (weights[name].ndim - 1)) * weights[name]


def _all_floats(change: Callable[[np.ndarray], np.ndarray]):
    def edit(weights, variant):
        for name, value in list(weights.items()):
            if not name.endswith(("bias_mask", "periods")):
                weights[name] = change(value)

    return edit


def bfloat16(value: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, to nearest even, as float32."""
    bits = np.ascontiguousarray(value, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).view(np.float32)


def float16(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16).astype(np.float32)


def int8(value: np.ndarray) -> np.ndarray:
    """Quantized to 8 bits with one scale a tensor."""
    scale = np.abs(value).max() / np.float32(127)
    return np.round(value / scale) * scale


def printed(value: np.ndarray, digits: int = 6) -> np.ndarray:
    """What is left after the numbers went through text of so many digits."""
    size = np.float64(10) ** np.floor(np.log10(np.maximum(np.abs(value), 1e-30)))
    return (np.round(value / size, digits - 1) * size).astype(np.float32)


def _random(value: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.02 * rng.standard_normal(value.shape)).astype(np.float32)


def _row_at_zero(value: np.ndarray) -> np.ndarray:
    value = value.copy()
    value[len(value) - 5] = 0
    return value


def _later(value: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return value * (1 + np.float32(1e-3) * rng.standard_normal(value.shape, np.float32))


def _periods(change: Callable[[np.ndarray], np.ndarray]):
    return change_of("rope_embed.periods", change)


def exact_periods(base: float, count: int) -> np.ndarray:
    """What the released periods were before they were rounded to bfloat16."""
    return (base ** (np.arange(count) / count)).astype(np.float32)


def _q_transposed(weights, variant):
    name = _of(variant, "attn.qkv.weight", 1)
    q, k, v = np.split(weights[name], 3)
    weights[name] = np.concatenate((q.T, k, v))


def _cls_and_register(weights, variant):
    registers = weights["storage_tokens"].copy()
    registers[:, :1], weights["cls_token"] = weights["cls_token"], registers[:, :1].copy()
    weights["storage_tokens"] = registers


def _local_norm(weights, variant):
    for leaf in ("weight", "bias"):
        weights[f"norm.{leaf}"] = weights[f"local_cls_norm.{leaf}"]


def _second_projection(columns: Callable[[np.ndarray], np.ndarray]):
    """An edit of the second FFN projection, whatever it is called."""

    def edit(weights, variant):
        last = "fc2" if variant.ffn == "mlp" else "w3"
        change_of(f"mlp.{last}.weight", columns)(weights, variant)

    return edit


def _narrow(value: np.ndarray) -> np.ndarray:
    value = value.copy()
    value[:, value.shape[1] * 3 // 4 :] = 0
    return value


def _interleaved(weights, variant):
    """w1 and w2 were fused, and are told apart as every other row."""
    for leaf in ("weight", "bias"):
        for name, other in zip(
            _each(variant, f"mlp.w1.{leaf}"), _each(variant, f"mlp.w2.{leaf}"), strict=True
        ):
            fused = np.concatenate((weights[name], weights[other]))
            weights[name], weights[other] = fused[0::2].copy(), fused[1::2].copy()


def _fault(name, words, tap, edit, block: int | None = 0, **more: Any) -> Fault:
    return Fault(name, words, Site.WEIGHTS, tap, edit, block, **more)


_PLAIN: dict[str, Any] = {"hidden": "patches of one colour"}
_MLP: dict[str, Any] = {"ffn": "mlp"}
_SWIGLU: dict[str, Any] = {"ffn": "swiglu"}
_BIAS: dict[str, Any] = {"needs": "qkv_bias"}

FAULTS = (
    _fault("patch kernel in BGR", "the kernel's channels were reversed for OpenCV's images",
           "patch_embed", change_of(f"{PATCH}.weight", lambda w: w[:, ::-1]), None),
    _fault("patch kernel flipped", "a true convolution in place of a correlation",
           "patch_embed", change_of(f"{PATCH}.weight", lambda w: w[..., ::-1, ::-1]), None, **_PLAIN),
    _fault("patch kernel transposed", "height and width of the kernel exchanged",
           "patch_embed", change_of(f"{PATCH}.weight", lambda w: w.swapaxes(-1, -2)), None, **_PLAIN),
    _fault("patch bias lost", "the patch projection was built without a bias",
           "patch_embed", change_of(f"{PATCH}.bias", np.zeros_like), None),
    _fault("patch kernel in bfloat16", "the kernel was stored in bfloat16",
           "patch_embed", change_of(f"{PATCH}.weight", bfloat16), None),
    _fault("registers never loaded", "the names of the registers did not match; they stayed zero",
           "tokens", change_of("storage_tokens", np.zeros_like), None),
    _fault("registers reversed", "the registers stand in reverse order",
           "tokens", change_of("storage_tokens", lambda w: w[:, ::-1]), None),
    _fault("cls and register exchanged", "cls and the first register stand in each other's place",
           "tokens", _cls_and_register, None),
    _fault("cls never loaded", "the cls token stayed at its initial zeros",
           "tokens", change_of("cls_token", np.zeros_like), None),
    _fault("periods not rounded", "rope periods are not rounded to bfloat16, as the release's are",
           "rope.sin", _periods(lambda p: exact_periods(100, len(p))), None, hidden="one patch",
           known="transformers and timm"),
    _fault("rope base 10000", "the base of language models, for DINOv3's 100",
           "rope.sin", _periods(lambda p: exact_periods(1e4, len(p))), None, hidden="one patch"),
    _fault("periods reversed", "from the longest period to the shortest",
           "rope.sin", _periods(lambda p: p[::-1]), None, hidden="one patch"),
    _fault("periods in steps of one less", "the exponent runs to 1 instead of stopping before it",
           "rope.sin", _periods(lambda p: (100 ** np.linspace(0, 1, len(p))).astype(np.float32)), None,
           hidden="one patch"),
    _fault("k bias not masked", "the mask of the joint bias was not applied",
           "attn.k_proj", change_of("attn.qkv.bias_mask", np.ones_like), **_BIAS),
    _fault("q bias masked too", "the whole joint bias was taken for masked",
           "attn.q_proj", change_of("attn.qkv.bias_mask", np.zeros_like), **_BIAS),
    _fault("qkv bias lost", "the joint projection was built without a bias",
           "attn.q_proj", change_of("attn.qkv.bias", np.zeros_like), **_BIAS),
    _fault("q, k, v in another order", "the joint projection was split as k, q, v",
           "attn.q_proj", _thirds(lambda q, k, v: (k, q, v))),
    _fault("k and v exchanged", "the joint projection was split as q, v, k",
           "attn.k_proj", _thirds(lambda q, k, v: (q, v, k))),
    _fault("heads before q, k, v", "rows read as (head, 3, d) where they are (3, head, d)",
           "attn.q_proj", _heads(lambda w: w.swapaxes(0, 1))),
    _fault("heads inside d", "rows read as (3, d, head) where they are (3, head, d)",
           "attn.q_proj", _heads(lambda w: w.swapaxes(1, 2))),
    _fault("heads reversed", "the heads of q, k and v stand in reverse order",
           "attn.q_proj", _heads(lambda w: w[:, ::-1])),
    _fault("rows permuted for paired rope", "rows reordered for a rotation of neighbours",
           "attn.q_proj", _heads(lambda w: np.concatenate((w[:, :, 0::2], w[:, :, 1::2]), 2))),
    _fault("proj transposed", "the output projection was taken as (in, out)",
           "attn.out", change_of("attn.proj.weight", np.transpose)),
    _fault("proj bias lost", "the output projection was built without a bias",
           "attn.out", change_of("attn.proj.bias", np.zeros_like)),
    _fault("norm1 weight lost", "a LayerNorm without scale",
           "norm1", change_of("norm1.weight", np.ones_like)),
    _fault("norm1 bias lost", "a LayerNorm without offset",
           "norm1", change_of("norm1.bias", np.zeros_like)),
    _fault("norm1 and norm2 exchanged", "each norm has the other's weights",
           "norm1", _exchange("norm1", "norm2")),
    _fault("norm2 weight centred at zero", "1 + weight, as some norms store it",
           "norm2", change_of("norm2.weight", lambda w: 1 + w)),
    _fault("norm2 bias lost", "a LayerNorm without offset",
           "norm2", change_of("norm2.bias", np.zeros_like)),
    _fault("final norm weight lost", "the last norm's scale was not mapped",
           "norm", change_of("norm.weight", np.ones_like), None),
    _fault("final norm bias lost", "the last norm's offset was not mapped",
           "norm", change_of("norm.bias", np.zeros_like), None),
    _fault("norm of local crops used", "the last norm is the one that training has for crops",
           "norm", _local_norm, None, needs="local_cls_norm"),
    _fault("LayerScale missing", "the gammas were left at one",
           "ls1", change_of("ls1.gamma", np.ones_like)),
    _fault("LayerScale at its initial value", "the gammas were left at 1e-5",
           "ls1", change_of("ls1.gamma", lambda g: np.full_like(g, 1e-5))),
    _fault("LayerScale applied twice", "folded into gamma squared",
           "ls1", change_of("ls1.gamma", np.square)),
    _fault("LayerScale folded and kept", "folded into the projection, and applied all the same",
           "attn.out", _folded),
    _fault("ls1 and ls2 exchanged", "each LayerScale has the other's gamma",
           "ls1", _exchange("ls1", "ls2")),
    _fault("ls2 missing", "the second LayerScale was left at one",
           "ls2", change_of("ls2.gamma", np.ones_like)),
    _fault("ls2 in bfloat16", "the second LayerScale was stored in bfloat16",
           "ls2", change_of("ls2.gamma", bfloat16)),
    _fault("fc1 bias lost", "the first FFN projection was built without a bias",
           "ffn.up", change_of("mlp.fc1.bias", np.zeros_like), **_MLP),
    _fault("fc2 bias lost", "the second FFN projection was built without a bias",
           "ffn.out", change_of("mlp.fc2.bias", np.zeros_like), **_MLP),
    _fault("w1 and w2 exchanged", "gate and value stand in each other's place",
           "ffn.gate", _exchange("w1", "w2"), **_SWIGLU),
    _fault("w12 interleaved", "the fused gate and value were told apart row by row",
           "ffn.gate", _interleaved, **_SWIGLU),
    _fault("w2 bias lost", "the value's projection was built without a bias",
           "ffn.up", change_of("mlp.w2.bias", np.zeros_like), **_SWIGLU),
    _fault("w3 bias lost", "the last FFN projection was built without a bias",
           "ffn.out", change_of("mlp.w3.bias", np.zeros_like), **_SWIGLU),
    _fault("hidden width cut", "the last quarter of the hidden units was lost to another ratio",
           "ffn.out", _second_projection(_narrow)),
    _fault("blocks 0 and 1 exchanged", "two blocks have each other's weights",
           "norm1", _from_block(lambda i: {0: 1, 1: 0}.get(i, i))),
    _fault("last block duplicated", "the last block has the weights of the one before",
           "norm1", lambda w, v: _from_block(lambda i: min(i, v.depth - 2))(w, v), -1),
    _fault("blocks off by one", "block i has the weights of block i - 1",
           "norm1", _from_block(lambda i: max(i - 1, 0)), 1),
    _fault("blocks in the order of their names", "10 and 11 were sorted before 2",
           "norm1", lambda w, v: _from_block(_sorted_as_text(v.depth))(w, v), 2, depth=11),
    _fault("one projection at random", "one tensor of the last block was never loaded",
           "attn.out", lambda w, v: change_of("attn.proj.weight", _random, v.depth - 1)(w, v), -1),
    _fault("one row at zero", "one row of the last block's values was lost",
           "attn.v_proj", lambda w, v: change_of("attn.qkv.weight", _row_at_zero, v.depth - 1)(w, v),
           -1),
    _fault("q transposed", "one square slice of the joint projection is transposed",
           "attn.q_proj", _q_transposed, 1),
    _fault("weights in bfloat16", "the checkpoint went through bfloat16",
           "patch_embed", _all_floats(bfloat16), None),
    _fault("weights in float16", "the checkpoint went through float16",
           "patch_embed", _all_floats(float16), None),
    _fault("one projection in float16", "one tensor of block 1 was stored in float16",
           "attn.out", change_of("attn.proj.weight", float16, 1), 1),
    _fault("weights through a text file", "six digits of every number were kept",
           "tokens", _all_floats(printed), None),
    _fault("FFN in 8 bits", "the second FFN projection was quantized",
           "ffn.out", _second_projection(int8)),
    _fault("another checkpoint", "weights of a later training step: an export gone stale",
           "patch_embed", _all_floats(_later), None),
)  # fmt: skip


def _sorted_as_text(depth: int) -> Callable[[int], int]:
    order = sorted(range(depth), key=str)
    return lambda i: order[i]
