"""A limit is no higher than what honest stages were measured to need, with its margin."""

import pytest
from dinov3_parity.parity.families.vit import VIT


@pytest.mark.parametrize("name", VIT.taps)
def test_a_limit_is_not_far_above_the_strongest_honest_ratio(name):
    """At least 3 and 4 for the sums of another machine, or half as high again as what was seen."""
    limit = VIT.taps[name].limit
    assert limit.whole <= max(3.0, 1.7 * limit.strongest)
    assert limit.token <= max(4.5, 1.7 * limit.strongest_token)
