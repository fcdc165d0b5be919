"""Factories that tests bring: right ones, and ones with mistakes of their own."""

#: transformers' model, filled by its names: of a checkpoint in Meta's layout.
TRANSFORMERS = """
from dinov3_parity.fixtures.ports.factories import libraries

def make(variant, checkpoint):
    model = libraries.transformers("DINOv3ViTModel", variant, checkpoint)
    return model
"""

#: The same with the checkpoint's own rope periods, as the releases have them.
PERIODS = """
import torch
from dinov3_parity.fixtures.ports.factories import libraries

def make(variant, checkpoint):
    model = libraries.transformers("DINOv3ViTModel", variant, checkpoint)
    periods = torch.tensor(checkpoint["rope_embed.periods"])
    for module in model.modules():
        if hasattr(module, "inv_freq"):
            module.inv_freq.copy_(1 / periods)
    return model
"""

#: And with two mistakes, in two blocks: eps of a norm, GELU by tanh.
TWO_MISTAKES = PERIODS.replace(
    "    return model",
    """    model.model.layer[2].norm2.eps = 1e-6
    model.model.layer[7].mlp.act_fn = torch.nn.GELU("tanh")
    return model""",
)

#: Equimo's model, in Equinox.
EQUIMO = """
import equinox as eqx
import jax
from dinov3_parity.fixtures.stages.equimo.vit import convert

def make(variant, checkpoint):
    model, key = eqx.nn.inference_mode(convert(variant, checkpoint)), jax.random.PRNGKey(0)

    def tokens(image):
        return jax.vmap(model.norm)(model.features(image, key=key, inference=True))

    return jax.vmap(tokens)
"""

#: jax2onnx's example in flax NNX, which takes square images of one size. It stands in docs/ports.md.
NNX = """
import re

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax2onnx.plugins.examples.nnx.dinov3 import VisionTransformer


def make(variant, checkpoint):
    sizes = (48, variant.patch, variant.dim, variant.depth, variant.heads, variant.registers)
    model = VisionTransformer(*sizes, rngs=nnx.Rngs(0))
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        name = re.sub("kernel|scale", "weight", ".".join(map(str, path))).replace("core.out_proj", "proj")
        array = np.array(checkpoint[re.sub("core.[qkv]_proj", "qkv", name)])
        if part := re.search("core.([qkv])_proj", name):
            array = np.split(array, 3)["qkv".index(part[1])] * (not name.endswith("k_proj.bias"))
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        leaf.set_value(jnp.asarray(array.T if path[-1] == "kernel" and array.ndim == 2 else array))
    return lambda images: model.norm(model.block_outputs(images)[-1])


make.sizes = [(48, 48)]
"""

#: The same with Meta's eps in its norms.
NNX_EPS = NNX.replace(
    "    return lambda",
    """    for norm in (model.norm, *(n for one in model.blocks for n in (one.norm1, one.norm2))):
        norm.epsilon = 1e-5
    return lambda""",
)
