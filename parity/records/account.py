"""What a test says of an input, beside its measurements: how much it declared, how much was there."""

from __future__ import annotations

from dataclasses import dataclass

from dinov3_parity.parity.inputs.drawn import Input


@dataclass
class Account:
    """How many taps were declared on an input, and how many were there to compare."""

    drawn: Input
    declared: int
    compared: int = 0
    failure: str = ""  # in words, with its picture
    waived: int = 0  # of the declared, what the stage need not show and does not
