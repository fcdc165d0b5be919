"""The layout of Meta's state dicts: every name with its shape, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator

from dinov3_parity.parity.variants import Variant

Shape = tuple[int, ...]


def block_layout(variant: Variant) -> Iterator[tuple[str, Shape]]:
    """Names (without their ``blocks.i.`` prefix) and shapes of one block's tensors."""
    d, hidden = variant.dim, variant.hidden
    yield "norm1.weight", (d,)
    yield "norm1.bias", (d,)
    yield "attn.qkv.weight", (3 * d, d)
    if variant.qkv_bias:
        yield "attn.qkv.bias", (3 * d,)
        yield "attn.qkv.bias_mask", (3 * d,)
    yield "attn.proj.weight", (d, d)
    yield "attn.proj.bias", (d,)
    yield "ls1.gamma", (d,)
    yield "norm2.weight", (d,)
    yield "norm2.bias", (d,)
    if variant.ffn == "mlp":
        ffn = (("fc1", hidden, d), ("fc2", d, hidden))
    else:
        ffn = (("w1", hidden, d), ("w2", hidden, d), ("w3", d, hidden))
    for name, rows, columns in ffn:
        yield f"mlp.{name}.weight", (rows, columns)
        yield f"mlp.{name}.bias", (rows,)
    yield "ls2.gamma", (d,)


def layout(variant: Variant) -> dict[str, Shape]:
    """Every name of the variant's state dict with its shape; all tensors are float32."""
    d = variant.dim
    names: dict[str, Shape] = {
        "cls_token": (1, 1, d),
        "storage_tokens": (1, variant.registers, d),
        "mask_token": (1, d),
        "patch_embed.proj.weight": (d, 3, variant.patch, variant.patch),
        "patch_embed.proj.bias": (d,),
        "rope_embed.periods": (variant.head_dim // 4,),
    }
    for i in range(variant.depth):
        names |= {f"blocks.{i}.{name}": shape for name, shape in block_layout(variant)}
    norms = ("norm", "local_cls_norm") if variant.local_cls_norm else ("norm",)
    for norm in norms:
        names |= {f"{norm}.weight": (d,), f"{norm}.bias": (d,)}
    return names
