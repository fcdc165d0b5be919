"""How a number stands with its noun, wherever the suite tells one."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 input", "2 inputs", "6,844 declared taps"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
