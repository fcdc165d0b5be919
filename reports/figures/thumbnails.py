"""Small pictures of drawn inputs, built again from their names: nothing of a run is stored for them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from importlib.util import find_spec

import numpy as np
from dinov3_parity.parity.inputs.drawn import CONTENTS, Input

#: Pixels of the longer side, at most; pictures in one page, at most.
SIDE, MOST = 192, 24

#: Patches of a whole batch that are worth building for one picture: 2048 × 2048 pixels.
LARGEST = 128 * 128


def thumbnails(wanted: Iterable[tuple[Input, int]]) -> dict[str, str]:
    """Data addresses of images by ``"<input> #<number in its batch>"``, the first ``MOST`` of them that
    can be drawn here: an input may have another suite's content, or too many pixels. None where there is
    no Pillow, which a light install is without."""
    made: dict[str, str] = {}
    if not find_spec("PIL"):
        return made
    for drawn, number in wanted:
        name = f"{drawn} #{number}"
        if name in made or not _drawable(drawn, number):
            continue
        if len(made) == MOST:
            break
        made[name] = _address(drawn.images()[number])
    return made


def _drawable(drawn: Input, number: int) -> bool:
    known = drawn.content in CONTENTS and drawn.seed >= 0 and min(drawn.grid) > 0
    return known and 0 <= number < drawn.batch <= LARGEST // (drawn.grid[0] * drawn.grid[1])


def _address(image: np.ndarray) -> str:
    from PIL import Image

    shown = Image.fromarray(stretched(image))
    if max(shown.size) > SIDE:
        shown.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    shown.save(file, "WEBP", quality=50, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def stretched(image: np.ndarray) -> np.ndarray:
    """Pixels (3, H, W) float32 as (H, W, 3) uint8, all but the outermost hundredth in range."""
    low, high = np.percentile(image, (0.5, 99.5))
    if high <= low:  # all but a few pixels are alike
        low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
    return np.ascontiguousarray((scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
