"""What a model does wrong as it is called, as edits of what it is given, of what it returns, and of which
call it is. Each ``make`` gives an edit that has nothing to remember yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from dinov3_parity.parity.families.vit import pooled
from dinov3_parity.parity.inputs.drawn import CELL

Taps = Mapping[str, np.ndarray]
Features = Callable[[np.ndarray], Taps]

#: Called with the right model, and with images (B, 3, H, W).
Edit = Callable[[Features, np.ndarray], Taps]


def rows_columns(images: np.ndarray) -> tuple[int, int]:
    return images.shape[2] // CELL, images.shape[3] // CELL


def on_images(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Edit]:
    """A mistake in what the model is given."""
    return lambda: lambda features, images: features(change(images.copy()))


def on_taps(change: Callable[[dict[str, np.ndarray], np.ndarray], None]) -> Callable[[], Edit]:
    """A mistake in what it returns, written into copies of it."""

    def edit(features: Features, images: np.ndarray) -> Taps:
        shown = {tap: np.array(value) for tap, value in features(images).items()}
        change(shown, images)
        return shown

    return lambda: edit


# Sizes.


def wide(most: int, axis: int = 3):
    """A table of positions for so many columns, or rows: what is beyond reads its last."""

    def change(images):
        count = images.shape[axis] // CELL
        if count > most:
            order = np.minimum(np.arange(count), most - 1)
            cells = np.stack(np.split(images, count, axis=axis))
            images = np.concatenate(list(cells[order]), axis=axis)
        return images

    return on_images(change)


def many(most: int):
    """A buffer for so many patches: those beyond are left empty."""

    def change(images):
        rows, columns = rows_columns(images)
        for k in range(most, rows * columns):
            top, left = CELL * (k // columns), CELL * (k % columns)
            images[:, :, top : top + CELL, left : left + CELL] = 0
        return images

    return on_images(change)


def fewer(least: int):
    """Small images are computed another way, by a kernel that is wrong: the last patch is not read."""

    def change(images):
        rows, columns = rows_columns(images)
        if 1 < rows * columns < least:
            images[:, :, -CELL:, -CELL:] = 0
        return images

    return on_images(change)


def odd(axis: int):
    """Tiles of two patches: the last of an odd number is not read."""

    def change(images):
        count = images.shape[axis] // CELL
        if count > 1 and count % 2:
            images[(slice(None),) * axis + (slice(-CELL, None),)] = 0
        return images

    return on_images(change)


def upright(images):
    """Rows and columns exchanged where there are more rows."""
    rows, columns = rows_columns(images)
    return np.ascontiguousarray(images.swapaxes(2, 3)) if rows > columns else images


def batch(most: int, of: int):
    """Of more images than that, the later ones are computed as another one."""

    def change(images):
        images[most:] = images[of if of >= 0 else most + of] if len(images) > most else 0
        return images

    return on_images(change)


def even_batch(images):
    """Images are taken in pairs: the last of an odd number of three or more is computed as the first."""
    if len(images) > 2 and len(images) % 2:
        images[-1] = images[0]
    return images


def squares(images):
    """Every image is made a square: what is beyond the shorter side is empty."""
    side = min(images.shape[2:])
    images[:, :, side:], images[:, :, :, side:] = 0, 0
    return images


# Values.


def clipped(most: float):
    return on_images(lambda images: images.clip(-most, most))


def finite(images):
    return np.nan_to_num(images)


def spread(images):
    return images.std((1, 2, 3), keepdims=True)


def constant_is_empty(images):
    """An image of one colour is taken for none."""
    flat = images.max((2, 3), keepdims=True) == images.min((2, 3), keepdims=True)
    return np.where(flat.all(1, keepdims=True), np.float32(0), images)


def faint_is_empty(images):
    return np.where(spread(images) < 0.02, np.float32(0), images)


def bytes_guessed(images):
    """What has large values is taken for pixels of 0 to 255."""
    large = np.abs(images).max((1, 2, 3), keepdims=True) > 50
    return np.where(large, images / np.float32(255), images).astype(np.float32)


def unit_guessed(images):
    """What has no value below zero is taken for pixels that are not normalized yet."""
    raw = images.min((1, 2, 3), keepdims=True) >= 0
    return np.where(raw, (images - np.float32(0.45)) / np.float32(0.225), images).astype(np.float32)


def normalized_again(images):
    """Each image by its own statistics, where they are far from those of images."""
    own = spread(images)
    far = (own > 5) | (own < 0.05)
    return np.where(far, images / np.maximum(own, 1e-12), images).astype(np.float32)


def denormal(images):
    """Small numbers are flushed to zero."""
    return np.where(np.abs(images) < 1e-3, np.float32(0), images)


def in_float16(images):
    """Overflows beyond 65,504, and loses what is below 6e-8."""
    with np.errstate(over="ignore"):
        return images.astype(np.float16).astype(np.float32)


# The whole is another program than its blocks.


def transposed_patches(shown, images):
    rows, columns = rows_columns(images)
    if "patches" in shown and min(rows, columns) > 1:
        batch, count, width = shown["patches"].shape
        cells = shown["patches"].reshape(batch, rows, columns, width).swapaxes(1, 2)
        shown["patches"] = np.ascontiguousarray(cells.reshape(batch, count, width))


def reversed_patches(shown, images):
    if "patches" in shown:
        shown["patches"] = np.ascontiguousarray(shown["patches"][:, ::-1])


def one_off(shown, images):
    """The last register for the first patch."""
    if {"patches", "registers"} <= shown.keys():
        both = np.concatenate((shown["registers"], shown["patches"]), 1)
        kept = shown["registers"].shape[1] - 1
        shown["patches"] = np.ascontiguousarray(both[:, kept:-1])


def registers_reversed(shown, images):
    if "registers" in shown:
        shown["registers"] = np.ascontiguousarray(shown["registers"][:, ::-1])


def registers_of_first(shown, images):
    if "registers" in shown:
        shown["registers"][1:] = shown["registers"][:1]


def registers_pooled(shown, images):
    if {"patches", "registers"} <= shown.keys():
        shown["pooled"] = pooled(np.concatenate((shown["registers"], shown["patches"]), 1))


def cls_pooled(shown, images):
    if "patches" in shown:
        both = np.concatenate((shown["cls"][:, None], shown["patches"]), 1)
        shown["pooled"] = pooled(both)


def cls_of_first(shown, images):
    shown["cls"][1:] = shown["cls"][:1]


def mean_of_batch(shown, images):
    shown["cls"] += np.float32(1e-3) * (shown["cls"].mean(0) - shown["cls"])


def normalized(tap: str):
    def change(shown, images):
        if tap in shown:
            shown[tap] /= np.linalg.norm(shown[tap], axis=-1, keepdims=True)

    return change


def rounded(tap: str):
    def change(shown, images):
        if tap in shown:
            shown[tap] = shown[tap].astype(np.float16).astype(np.float32)

    return change


def _whole(size: int) -> int:
    """The next multiple of the patch."""
    return -(-size // CELL) * CELL


def _filled(images: np.ndarray, mode: Literal["constant", "edge"]) -> np.ndarray:
    high, wide = images.shape[2:]
    return np.pad(
        images, ((0, 0), (0, 0), (0, _whole(high) - high), (0, _whole(wide) - wide)), mode
    )


def filled_up(images: np.ndarray) -> np.ndarray:
    return _filled(images, "constant")


def filled_by_edge(images: np.ndarray) -> np.ndarray:
    return _filled(images, "edge")


def cut_in_the_middle(images: np.ndarray) -> np.ndarray:
    top, left = (size % CELL // 2 for size in images.shape[2:])
    high, wide = (size // CELL * CELL for size in images.shape[2:])
    return np.ascontiguousarray(images[:, :, top : top + high, left : left + wide])


def resized(images: np.ndarray) -> np.ndarray:
    rows, columns = (
        np.arange(size // CELL * CELL) * size // (size // CELL * CELL) for size in images.shape[2:]
    )
    return np.ascontiguousarray(images[:, :, rows][..., columns])
