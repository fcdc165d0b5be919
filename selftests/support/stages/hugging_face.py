"""transformers' DINOv3: its configuration for a variant, and a checkpoint in its names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dinov3_parity.parity.families.base import Variant

#: Meta's names to those of transformers' port, within a block.
_NAMES = {
    "norm1": "norm1", "attn.proj": "attention.o_proj", "norm2": "norm2",
    "mlp.fc1": "mlp.up_proj", "mlp.fc2": "mlp.down_proj",
    "mlp.w1": "mlp.gate_proj", "mlp.w2": "mlp.up_proj", "mlp.w3": "mlp.down_proj",
}  # fmt: skip


def model(variant: Variant):
    """transformers' DINOv3ViTModel of a variant, at random numbers."""
    transformers = pytest.importorskip("transformers", reason="pip install dinov3-parity[test]")
    config = transformers.DINOv3ViTConfig(
        hidden_size=variant.dim, num_hidden_layers=variant.depth, num_attention_heads=variant.heads,
        intermediate_size=variant.hidden, num_register_tokens=variant.registers,
        patch_size=variant.patch, layer_norm_eps=variant.eps,
        use_gated_mlp=variant.ffn == "swiglu", hidden_act="silu" if variant.ffn == "swiglu" else "gelu",
        query_bias=variant.qkv_bias, value_bias=variant.qkv_bias,
    )  # fmt: skip
    return transformers.DINOv3ViTModel(config).eval()


def state(checkpoint) -> dict[str, torch.Tensor]:
    """A checkpoint in transformers' names; its attention has no k bias at all."""
    variant = checkpoint.variant
    found = {
        "embeddings.cls_token": checkpoint["cls_token"],
        "embeddings.register_tokens": checkpoint["storage_tokens"],
        "embeddings.mask_token": checkpoint["mask_token"][None],
        "embeddings.patch_embeddings.weight": checkpoint["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.bias": checkpoint["patch_embed.proj.bias"],
        "norm.weight": checkpoint["norm.weight"],
        "norm.bias": checkpoint["norm.bias"],
    }
    for i in range(variant.depth):
        meta, theirs = f"blocks.{i}", f"model.layer.{i}"
        for ours, name in _NAMES.items():
            for leaf in ("weight", "bias"):
                if f"{meta}.{ours}.{leaf}" in checkpoint:
                    found[f"{theirs}.{name}.{leaf}"] = checkpoint[f"{meta}.{ours}.{leaf}"]
        for n in "12":
            found[f"{theirs}.layer_scale{n}.lambda1"] = checkpoint[f"{meta}.ls{n}.gamma"]
        for leaf in ("weight", "bias") if variant.qkv_bias else ("weight",):
            thirds = np.split(checkpoint[f"{meta}.attn.qkv.{leaf}"], 3)
            for letter, third in zip("qkv", thirds, strict=True):
                if (letter, leaf) != ("k", "bias"):
                    found[f"{theirs}.attention.{letter}_proj.{leaf}"] = third
    return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}
