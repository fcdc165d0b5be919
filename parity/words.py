"""How a number stands with its noun, and long words are cut, wherever the suite tells them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 input", "2 inputs", "6,844 declared taps"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def cut(told: str, most: int) -> str:
    """Words of at most so many characters; of longer ones the beginning, and a sign of more."""
    return f"{told[:most]} …" if len(told) > most else told
