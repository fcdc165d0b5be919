"""Addresses inside the overview: which tap's page a link leads to. The page's script reads them so."""

from __future__ import annotations

from urllib.parse import quote

from dinov3_parity.parity.records.measurement import Measurement


def words(variant: str, stage: str, mode: str, block: int | None, tap: str) -> str:
    """A place in words with strokes between, each safe: ``vits16/equimo/isolated/0/attn.k``."""
    where = "-" if block is None else str(block)
    every = variant, stage, mode, where, tap
    return "/".join(quote(word, safe="", errors="replace") for word in every)


def link(variant: str, stage: str, mode: str, block: int | None, tap: str) -> str:
    """The address of a place's page."""
    return f"#tap={quote(words(variant, stage, mode, block, tap), safe='/')}"


def of(m: Measurement) -> tuple[str, str, str, int | None, str]:
    """The place of a measurement."""
    return m.variant, m.stage, m.mode, m.block, m.tap
