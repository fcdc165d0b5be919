"""A small model and its reference, made of noise: for what is about comparing, and not about a model."""

from dataclasses import replace
from functools import cache

import numpy as np
from dinov3_parity.fixtures.reference.base import Reference
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.records.measurement import ISOLATED
from dinov3_parity.parity.yardstick import standard

SMALL = replace(VARIANTS["vits16"], dim=16, heads=2, hidden=32, depth=3)
PLACES = VIT.places(SMALL)


@cache
def _standards(place, drawn):
    rng, made = np.random.default_rng(PLACES.index(place)), {}
    for tap in VIT.of_part(place.part, SMALL):
        truth = rng.standard_normal(VIT.extent(tap, SMALL, drawn.batch, drawn.grid))
        off = lambda x=truth: np.float32(x * (1 + 1e-7 * rng.standard_normal(x.shape)))
        made[tap.name] = standard(tap, truth, {"meta": off(), "twin": off()})
    return made


class Made(Reference):
    """A reference whose truth is noise, of the shapes of the tap table, and so are its runs' errors."""

    def __init__(self, drawn):
        super().__init__(SMALL, drawn)

    def part(self, place, mode=ISOLATED):
        return _standards(place, self.input)

    def given(self, place):
        before = PLACES[PLACES.index(place) - 1]
        handed_on = self.family.parts[before.part].handed_on
        return self.images if place == PLACES[0] else self.part(before)[handed_on].meta


def metas(reference, place, mode=ISOLATED):
    """Meta's values of a place, to be changed."""
    return {tap: known.meta.copy() for tap, known in reference.part(place, mode).items()}
