"""Hostile files of any kind: cut off, with turned bits, of a terabyte."""

from __future__ import annotations

from pathlib import Path


def cut(file: Path, good: Path, size: int) -> None:
    file.write_bytes(good.read_bytes()[:size])


def flipped(file: Path, good: Path, *bits: int) -> None:
    """A copy with bits turned, counted from the file's begin."""
    content = bytearray(good.read_bytes())
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def sparse(file: Path, size: int = 1 << 40, begin: bytes = b"") -> None:
    """A file that says it is a terabyte and takes no room."""
    with file.open("wb") as stream:
        stream.write(begin)
        stream.truncate(size)
