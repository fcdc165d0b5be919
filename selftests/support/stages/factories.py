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
