"""A limit is no higher than what honest stages were measured to need, with its margin."""

import pytest
from dinov3_parity.parity.families.base import MARGIN
from dinov3_parity.parity.families.vit import VIT

#: Taps whose tokens err by one draw each, the variance of a norm, the coordinate of a row of angles.
ALIKE = (
    ("norm1", "norm2", "norm", "cls", "registers", "patches", "pooled"),
    ("rope.sin", "rope.cos"),
)


@pytest.mark.parametrize("name", VIT.taps)
def test_a_limit_is_not_far_above_the_strongest_honest_ratio(name):
    """At least 1.5 and 4.5 for the sums of another machine, or twice what was seen; taps of one kind have
    one limit of a token, that of their strongest."""
    limit = VIT.taps[name].limit
    alike = next((kind for kind in ALIKE if name in kind), (name,))
    strongest = max(VIT.taps[one].limit.strongest_token for one in alike)
    assert limit.whole <= max(MARGIN, 2 * limit.strongest)
    assert limit.token <= max(4.5, 2 * strongest)
