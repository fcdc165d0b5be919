"""The tap table of the vision transformers, for who writes a port: names, shapes, what a head returns."""

from __future__ import annotations

from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Tap, Variant
from dinov3_parity.parity.families.vit import BLOCK, EMBED, HEAD, pooled, split_head

__all__ = ["BLOCK", "EMBED", "HEAD", "pooled", "split_head", "taps_of"]


def taps_of(part: str, variant: Variant, stage: str = "") -> tuple[Tap, ...]:
    """The taps that a stage must show in one part of the model, ``EMBED``, ``BLOCK`` or ``HEAD``, in
    dataflow order: of every ``stage`` the same, which ports of before named. Raises KeyError for
    another part."""
    return family_of(variant).of_part(part, variant)
