"""What a model does wrong that remembers, or counts its calls: edits of a whole model, made anew with
nothing to remember.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dinov3_parity.parity.faults.whole_edits import Edit, Taps, rows_columns
from dinov3_parity.parity.inputs.drawn import CELL


def retiled(images: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The same patches in another grid of as many: what positions of that grid make of an image."""
    rows, columns = rows_columns(images)
    batch, channels = images.shape[:2]
    cells = images.reshape(batch, channels, rows, CELL, columns, CELL).transpose(0, 1, 2, 4, 3, 5)
    cells = cells.reshape(batch, channels, *grid, CELL, CELL).transpose(0, 1, 2, 4, 3, 5)
    return np.ascontiguousarray(cells.reshape(batch, channels, CELL * grid[0], CELL * grid[1]))


def table_by_count() -> Edit:
    known: dict[int, tuple[int, int]] = {}

    def edit(features, images):
        grid = rows_columns(images)
        first = known.setdefault(grid[0] * grid[1], grid)
        return features(images if first == grid else retiled(images, first))

    return edit


def first_table() -> Edit:
    """A table that is made once, for the first grid, and cut to size."""
    known: list[tuple[int, int]] = []

    def edit(features, images):
        grid = rows_columns(images)
        known.append(grid)
        rows, columns = known[0]
        if grid == known[0] or grid[0] * grid[1] > rows * columns or grid[1] == columns:
            return features(images)
        wide = max(
            c for c in range(1, grid[0] * grid[1] + 1) if not grid[0] * grid[1] % c and c <= columns
        )
        return features(retiled(images, (grid[0] * grid[1] // wide, wide)))

    return edit


def kept(key: Callable[[np.ndarray], object], kept: Callable[[np.ndarray], bool] = lambda _: True):
    """A result that is kept, and given back for what has the same key."""

    def make() -> Edit:
        known: dict[object, Taps] = {}

        def edit(features, images):
            if not kept(images):
                return features(images)
            at = key(images)
            if at not in known:
                known[at] = features(images)
            return known[at]

        return edit

    return make


def by_call(wrong: Callable[[int], bool], strength: float = 1e-4):
    """Every so many calls the result is off by one part in so many."""

    def make() -> Edit:
        calls = [0]

        def edit(features, images):
            calls[0] += 1
            factor = np.float32(1 + strength * wrong(calls[0]))
            return {tap: value * factor for tap, value in features(images).items()}

        return edit

    return make


def drifting() -> Edit:
    """Statistics that are updated by every call, as in training."""
    seen = [0.0]

    def edit(features, images):
        seen[0] += 1e-3 * (float(np.nan_to_num(images).mean()) - seen[0]) + 1e-4
        return features(images - np.float32(seen[0]))

    return edit


def one_buffer() -> Edit:
    """Results in one buffer a shape, which the next call writes into."""
    buffers: dict[tuple, np.ndarray] = {}

    def edit(features, images):
        shown = {}
        for tap, value in features(images).items():
            shown[tap] = buffers.setdefault((tap, value.shape), np.empty_like(value))
            shown[tap][...] = value
        return shown

    return edit


def left_over() -> Edit:
    """A buffer for the largest image so far: a smaller one is added to what was left in its corner."""
    buffer = [np.zeros((1, 3, 0, 0), np.float32)]

    def edit(features, images):
        before = buffer[0]
        mixed = images.copy()
        high, wide = (min(a, b) for a, b in zip(before.shape[2:], images.shape[2:], strict=True))
        if before.shape[2:] > images.shape[2:]:
            mixed[:, :, :high, :wide] += np.float32(1e-3) * before[:1, :, :high, :wide]
        buffer[0] = np.nan_to_num(images)
        return features(mixed)

    return edit


def written_into(features, images):
    """A scratch of the image is made in its own place."""
    shown = {tap: np.array(value) for tap, value in features(images).items()}
    images *= np.float32(0.5)
    return shown


def kept_in_half() -> Edit:
    """Results are kept in half precision: who asks again gets those."""
    known: dict[bytes, Taps] = {}

    def edit(features, images):
        at = images.tobytes()
        if at in known:
            return {tap: value.astype(np.float32) for tap, value in known[at].items()}
        shown = features(images)
        known[at] = {tap: value.astype(np.float16) for tap, value in shown.items()}
        return shown

    return edit


def kept_last() -> Edit:
    """Results are kept by images, and given back from the end of what was kept."""
    known: dict[bytes, Taps] = {}

    def edit(features, images):
        at = images.tobytes()
        if at in known and (of_shape := [k for k in known if len(k) == len(at)]):
            return known[of_shape[-1]]
        known[at] = features(images)
        return known[at]

    return edit


def across_instances() -> Callable[[], Edit]:
    """A table of the class and not of the instance: what one has kept another is given."""
    known: dict[tuple, Taps] = {}

    def edit(features, images):
        return known.setdefault((images.shape, images.tobytes()), features(images))

    return lambda: edit


def shape_of_batch(images: np.ndarray) -> object:
    return images.shape


def of_first_image(images: np.ndarray) -> object:
    return images.shape, images[0].tobytes()


def of_mean(images: np.ndarray) -> object:
    return images.shape, round(float(np.nan_to_num(images).mean()), 5)


def of_images(images: np.ndarray) -> object:
    return images.shape, frozenset(image.tobytes() for image in images)


def of_size(images: np.ndarray) -> object:
    return images.shape[2:], len(images)
