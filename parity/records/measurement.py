"""Measurements: one record a comparison, one JSON line a record.

Every process of a run appends to fragments of its own; the controller merges them when the run
ends, so that nothing is lost or doubled under pytest-xdist. Non-finite figures are written as
null: the lines are strict JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.yardstick import Comparison

ISOLATED, CHAINED = "isolated", "chained"


@dataclass(frozen=True)
class Measurement:
    """One comparison of one tap; ``block`` is None outside the blocks, ``runtime`` names the
    program that computed it, ``layer`` the layer of the suite that asked.

    ``floor_setter`` is the run that set the floor, ``floor_alone`` what the floor would be by Meta's
    one run; ``token`` is the token of the largest ratio, by its index along the tap's token axes.
    ``profile``, where inside the tap it erred (see ``parity.profile``), is there when no earlier
    comparison of its test at this place was stronger: so the strongest of them all has it.
    """

    variant: str
    stage: str
    mode: str
    block: int | None
    tap: str
    batch: int
    grid: tuple[int, int]
    seed: int
    ratio: float | None
    floor: float
    floor_setter: str
    floor_alone: float
    max_abs: float | None
    max_abs_index: tuple[int, ...]
    rel_max: float | None
    cosine: float | None
    limit: float
    token: tuple[int, ...]
    token_ratio: float | None
    token_limit: float
    passed: bool
    runtime: str
    fault: str | None
    layer: str
    content: str
    scale: float
    problem: str
    profile: dict[str, Any] | None = None

    @property
    def input(self) -> Input:
        return Input(self.batch, tuple(self.grid), self.seed, self.content, self.scale)

    @property
    def place(self) -> str:
        """Where it was taken: ``block 3, attn.k`` or ``cls``."""
        return self.tap if self.block is None else f"block {self.block}, {self.tap}"

    @property
    def strength(self) -> float:
        """The larger of its two ratios in units of their limits; over 1 fails."""
        if self.problem or self.ratio is None or self.token_ratio is None:
            return math.inf
        return max(self.ratio / self.limit, self.token_ratio / self.token_limit)


def measurement(comparison: Comparison, drawn: Input, **where: Any) -> Measurement:
    """A record of a comparison; ``where`` gives the fields that name the place."""
    figures = vars(comparison) | {"passed": comparison.passed}
    for name in ("ratio", "token_ratio", "max_abs", "rel_max", "cosine"):
        figures[name] = figures[name] if math.isfinite(figures[name]) else None
    return Measurement(
        **figures, **where, batch=drawn.batch, grid=drawn.grid, seed=drawn.seed,
        content=drawn.content, scale=drawn.scale,
    )  # fmt: skip


def write(path: Path, records: list[Measurement]) -> None:
    """Append records to a file of JSON lines, one write per call."""
    lines = "".join(json.dumps(_fields(record), allow_nan=False) + "\n" for record in records)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(lines)


def _fields(record: Measurement) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k != "profile" or v}


def measured(fields: dict[str, Any]) -> Measurement:
    """A record from the fields of its line."""
    for name in ("grid", "max_abs_index", "token"):
        fields[name] = tuple(fields[name])
    return Measurement(**fields)


def read(path: Path) -> Iterator[Measurement]:
    """The records of a file of JSON lines; a last line that was cut off is left out."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield measured(json.loads(line))
