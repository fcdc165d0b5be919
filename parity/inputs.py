"""Inputs: a few words that replay an image batch exactly.

An input is (batch, grid, seed, content, scale); the pixels are built from the seed, so one short
line such as ``B2 2x8 seed=7 gaussian scale=1`` names the same float32 array everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.errors import ParityError

PATCH = 16


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _constant(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, np.float32)


def _saturated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.sign(rng.standard_normal(shape, dtype=np.float32))


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return _gaussian(rng, shape) * (rng.random(shape) < 0.01)


CONTENTS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "gaussian": _gaussian,
    "constant": _constant,
    "saturated": _saturated,
    "sparse": _sparse,
}


@dataclass(frozen=True)
class Input:
    """One drawn input; ``images()`` is float32 of shape (batch, 3, 16·rows, 16·columns)."""

    batch: int
    grid: tuple[int, int]
    seed: int = 0
    content: str = "gaussian"
    scale: float = 1.0

    def images(self) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(self.seed))
        shape = (self.batch, 3, PATCH * self.grid[0], PATCH * self.grid[1])
        return (CONTENTS[self.content](rng, shape) * np.float32(self.scale)).astype(np.float32)

    def __str__(self) -> str:
        rows, columns = self.grid
        words = f"B{self.batch} {rows}x{columns} seed={self.seed}"
        if (self.content, self.scale) != ("gaussian", 1.0):
            words += f" {self.content} scale={self.scale:g}"
        return words


_LINE = re.compile(
    r"B(?P<batch>[1-9]\d*) (?P<rows>[1-9]\d*)x(?P<columns>[1-9]\d*) seed=(?P<seed>\d+)"
    r"(?: (?P<content>\w+) scale=(?P<scale>\S+))?"
)


def parse(line: str) -> Input:
    """The input named by a line that ``str(Input)`` wrote.

    Raises ParityError when the line does not read as one.
    """
    match = _LINE.fullmatch(line.strip())
    content = match and (match["content"] or "gaussian")
    if not match or content not in CONTENTS:
        raise ParityError(
            f"{line!r} is not an input. Write it as the reports do, for instance "
            f"'B2 2x8 seed=7' or 'B1 14x14 seed=3 saturated scale=2' "
            f"(contents: {', '.join(CONTENTS)})."
        )
    return Input(
        int(match["batch"]), (int(match["rows"]), int(match["columns"])), int(match["seed"]),
        content, float(match["scale"] or 1.0),
    )  # fmt: skip
