"""The families of DINOv3's backbones, one module each, and their variants by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dinov3_parity.parity.families.base import Family, Variant
from dinov3_parity.parity.families.vit import VIT

#: Every family by its name.
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in (VIT,)})

#: Every variant by its name, in the order of the releases.
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {name: one for family in FAMILIES.values() for name, one in family.variants.items()}
)


def family_of(variant: Variant) -> Family:
    """The family of a variant, or of a subset of one. Raises KeyError where it is in none."""
    return FAMILIES[variant.family]


def held_whole(variant: Variant) -> bool:
    """Whether stages hold the whole model of a variant's release, and not a block at a time."""
    return family_of(variant).held_whole(variant)


def first_block(variant: Variant) -> Variant:
    """The variant whose artifacts its stages are made from: of one not held whole its first block."""
    return variant if held_whole(variant) else family_of(variant).subset(variant, (0,))
