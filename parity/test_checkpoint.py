"""Layer 0: the checkpoint is what it says it is."""

import numpy as np
from dinov3_parity.parity.families import family_of


def test_layout_of_the_state_dict(variant, snapshot):
    lines = [f"{name} {shape}" for name, shape in family_of(variant).layout(variant).items()]
    assert "\n".join(lines) == snapshot


def test_every_tensor_has_its_name_shape_and_dtype(pipe, checkpoint, variant):
    shown = {name: checkpoint[name].shape for name in checkpoint}
    assert shown == family_of(variant).layout(variant)
    assert {checkpoint[name].dtype for name in checkpoint} == {np.dtype(np.float32)}


def test_every_value_is_finite(pipe, checkpoint):
    assert [name for name in checkpoint if not np.isfinite(checkpoint[name]).all()] == []


def test_the_k_bias_is_silenced_by_its_mask(pipe, checkpoint, variant):
    if not variant.qkv_bias:
        assert [name for name in checkpoint if "qkv.bias" in name] == []
        return
    for i in range(variant.depth):
        used = (
            checkpoint[f"blocks.{i}.attn.qkv.bias"] * checkpoint[f"blocks.{i}.attn.qkv.bias_mask"]
        )
        k = used[variant.dim : 2 * variant.dim]
        assert not k.any(), f"block {i}: the k third of bias * bias_mask is not zero"


def test_periods_are_bfloat16_values(pipe, checkpoint):
    bits = checkpoint["rope_embed.periods"].view(np.uint32)
    assert not (bits & 0xFFFF).any(), "periods carry more digits than the releases' bfloat16"
