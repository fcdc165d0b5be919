"""The limit of each tap: the noise ratio up to which a stage counts as faithful.

Justified by measurement, not guessed: see the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from parity.taps import TAPS

MARGIN = 1.25


@dataclass(frozen=True)
class Limit:
    """The largest ratio over the whole tensor, and over one token."""

    whole: float
    token: float
    strongest: float = 1
    strongest_token: float = 1


LIMITS: MappingProxyType[str, Limit] = MappingProxyType({tap: Limit(4.0, 6.0) for tap in TAPS})


def limits(tap: str) -> Limit:
    return LIMITS[tap]
