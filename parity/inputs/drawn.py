"""Inputs: a few words that replay an image batch exactly.

An input is (batch, grid, seed, content, scale); the pixels are built from the seed, so one short
line such as ``B2 2x8 seed=7 gaussian scale=1`` names the same float32 array everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families.base import NORMALIZATION

#: Profiles of runs whose inputs are not drawn: named one by one with ``--reproduce``, or those whose
#: reference was recorded. They are told in run.json, as those that Hypothesis draws by are.
CHOSEN, RECORDED = "reproduce", "recorded"

#: How much of the reference on an input is kept: every tap of every place alone, what chained runs
#: compare, or what the whole model returns; each is in the one before.
EVERY, CHAIN, ENDS = EXTENTS = "every", "chain", "ends"

#: Pixels along a side of a cell of a drawn grid: the patch of every vision transformer.
CELL = 16


Shape = tuple[int, int, int, int]  # (batch, 3, height, width)


def _gaussian(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _constant(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Each image of one colour: every patch is the same, so a fault in the kernel hides."""
    return np.broadcast_to(_gaussian(rng, (*shape[:2], 1, 1)), shape)


def _checkerboard(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Patches of one colour and its negative in turn: neighbours are told apart by place alone."""
    rows, columns = (np.arange(size) // CELL for size in shape[2:])
    signs = 1 - 2 * ((rows[:, None] + columns) % 2)
    return _constant(rng, shape) * signs.astype(np.float32)


def _hot(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """One pixel of each image is 1, all others 0: one patch differs from the rest."""
    images = np.zeros(shape, np.float32)
    for image in images:
        image[:, rng.integers(shape[2]), rng.integers(shape[3])] = 1
    return images


def _saturated(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return np.sign(_gaussian(rng, shape))


def _sparse(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return _gaussian(rng, shape) * (rng.random(shape) < 0.01)


def _photograph(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Crops of a real photograph, normalized as the LVD-1689M releases want it.

    Where an image is larger than the photograph, it is mirrored at its edges.
    """
    photograph = _loaded_photograph()
    crops = np.empty(shape, np.float32)
    missing = [
        max(0, want - have) for want, have in zip(shape[2:], photograph.shape[1:], strict=True)
    ]
    photograph = np.pad(photograph, ((0, 0), *((0, n) for n in missing)), mode="symmetric")
    for crop in crops:
        top, left = (
            rng.integers(have - want + 1)
            for want, have in zip(shape[2:], photograph.shape[1:], strict=True)
        )
        crop[:] = photograph[:, top : top + shape[2], left : left + shape[3]]
    return crops


def _pixels(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Any pixels of 8 bits, normalized as the LVD-1689M releases want them: what a file that normalizes
    by itself can be given, too, to the bit."""
    mean, std = np.array(NORMALIZATION["lvd1689m"], np.float32)[..., None, None]
    pixels = rng.integers(0, 256, shape).astype(np.float32) / 255
    return (pixels - mean) / std


@cache
def _loaded_photograph() -> np.ndarray:
    """The photograph that scikit-learn's wheel holds, float32 (3, 427, 640); nothing of it is run."""
    from importlib.metadata import distribution

    from PIL import Image

    file: Any = distribution("scikit-learn").locate_file("sklearn/datasets/images/china.jpg")
    mean, std = np.array(NORMALIZATION["lvd1689m"], np.float32)
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))


#: What is for files alone that take pixels of 8 bits; it is not drawn.
PIXELS = "pixels"

#: What an image holds, the plainest first.
CONTENTS: dict[str, Callable[[np.random.Generator, Shape], np.ndarray]] = {
    "gaussian": _gaussian,
    "constant": _constant,
    "checkerboard": _checkerboard,
    "hot": _hot,
    "saturated": _saturated,
    "sparse": _sparse,
    "photograph": _photograph,
    PIXELS: _pixels,
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
        shape = (self.batch, 3, CELL * self.grid[0], CELL * self.grid[1])
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
