"""Layer 0: the checkpoint is what it says it is."""

import numpy as np
from dinov3_parity.parity.families import family_of


def _of_role(variant, role):
    return [tensor.name for tensor in family_of(variant).tensors(variant) if tensor.role == role]


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
    biases = _of_role(variant, "qkv.bias")
    assert len(biases) == (variant.depth if variant.qkv_bias else 0)
    for bias, mask in zip(biases, _of_role(variant, "qkv.bias_mask"), strict=True):
        _, k, _ = np.split(checkpoint[bias] * checkpoint[mask], 3)
        assert not k.any(), f"the k third of {bias} * {mask} is not zero"


def test_periods_are_bfloat16_values(pipe, checkpoint, variant):
    (periods,) = _of_role(variant, "rope.periods")
    bits = checkpoint[periods].view(np.uint32)
    assert not (bits & 0xFFFF).any(), "periods carry more digits than the releases' bfloat16"
