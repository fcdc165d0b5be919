"""Mistakes of a model as its users call it: wrong for some sizes, some images, some calls alone.

Its blocks may be right. An edit is called with the right model, images (B, 3, H, W) to taps of the head,
and with images; it keeps what it remembers between calls, so each is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from dinov3_parity.parity.families.vit import pooled
from dinov3_parity.parity.inputs.drawn import CELL

Taps = Mapping[str, np.ndarray]
Features = Callable[[np.ndarray], Taps]
Edit = Callable[[Features, np.ndarray], Taps]

#: Who finds a mistake: the layer that holds every input against Meta, or a relation, by its name.
WHOLE = "whole"


@dataclass(frozen=True)
class WholeFault:
    """One mistake; ``make`` gives its edit, with nothing remembered, and ``found_by`` says who has to
    find it: ``whole``, or the relation of ``parity.relations`` of that name."""

    name: str
    words: str
    make: Callable[[], Edit]
    found_by: str = WHOLE


def _rows_columns(images: np.ndarray) -> tuple[int, int]:
    return images.shape[2] // CELL, images.shape[3] // CELL


def _on_images(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Edit]:
    """A mistake in what the model is given."""
    return lambda: lambda features, images: features(change(images.copy()))


def _on_taps(change: Callable[[dict[str, np.ndarray], np.ndarray], None]) -> Callable[[], Edit]:
    """A mistake in what it returns, written into copies of it."""

    def edit(features: Features, images: np.ndarray) -> Taps:
        shown = {tap: np.array(value) for tap, value in features(images).items()}
        change(shown, images)
        return shown

    return lambda: edit


# Sizes.


def _wide(most: int, axis: int = 3):
    """A table of positions for so many columns, or rows: what is beyond reads its last."""

    def change(images):
        count = images.shape[axis] // CELL
        if count > most:
            order = np.minimum(np.arange(count), most - 1)
            cells = np.stack(np.split(images, count, axis=axis))
            images = np.concatenate(list(cells[order]), axis=axis)
        return images

    return _on_images(change)


def _many(most: int):
    """A buffer for so many patches: those beyond are left empty."""

    def change(images):
        rows, columns = _rows_columns(images)
        for k in range(most, rows * columns):
            top, left = CELL * (k // columns), CELL * (k % columns)
            images[:, :, top : top + CELL, left : left + CELL] = 0
        return images

    return _on_images(change)


def _fewer(least: int):
    """Small images are computed another way, by a kernel that is wrong: the last patch is not read."""

    def change(images):
        rows, columns = _rows_columns(images)
        if 1 < rows * columns < least:
            images[:, :, -CELL:, -CELL:] = 0
        return images

    return _on_images(change)


def _odd(axis: int):
    """Tiles of two patches: the last of an odd number is not read."""

    def change(images):
        count = images.shape[axis] // CELL
        if count > 1 and count % 2:
            images[(slice(None),) * axis + (slice(-CELL, None),)] = 0
        return images

    return _on_images(change)


def _upright(images):
    """Rows and columns exchanged where there are more rows."""
    rows, columns = _rows_columns(images)
    return np.ascontiguousarray(images.swapaxes(2, 3)) if rows > columns else images


def _batch(most: int, of: int):
    """Of more images than that, the later ones are computed as another one."""

    def change(images):
        images[most:] = images[of if of >= 0 else most + of] if len(images) > most else 0
        return images

    return _on_images(change)


def _even_batch(images):
    """Images are taken in pairs: the last of an odd number of three or more is computed as the first."""
    if len(images) > 2 and len(images) % 2:
        images[-1] = images[0]
    return images


def _squares(images):
    """Every image is made a square: what is beyond the shorter side is empty."""
    side = min(images.shape[2:])
    images[:, :, side:], images[:, :, :, side:] = 0, 0
    return images


# Values.


def _clipped(most: float):
    return _on_images(lambda images: images.clip(-most, most))


def _finite(images):
    return np.nan_to_num(images)


def _spread(images):
    return images.std((1, 2, 3), keepdims=True)


def _constant_is_empty(images):
    """An image of one colour is taken for none."""
    flat = images.max((2, 3), keepdims=True) == images.min((2, 3), keepdims=True)
    return np.where(flat.all(1, keepdims=True), np.float32(0), images)


def _faint_is_empty(images):
    return np.where(_spread(images) < 0.02, np.float32(0), images)


def _bytes_guessed(images):
    """What has large values is taken for pixels of 0 to 255."""
    large = np.abs(images).max((1, 2, 3), keepdims=True) > 50
    return np.where(large, images / np.float32(255), images).astype(np.float32)


def _unit_guessed(images):
    """What has no value below zero is taken for pixels that are not normalized yet."""
    raw = images.min((1, 2, 3), keepdims=True) >= 0
    return np.where(raw, (images - np.float32(0.45)) / np.float32(0.225), images).astype(np.float32)


def _normalized_again(images):
    """Each image by its own statistics, where they are far from those of images."""
    spread = _spread(images)
    far = (spread > 5) | (spread < 0.05)
    return np.where(far, images / np.maximum(spread, 1e-12), images).astype(np.float32)


def _denormal(images):
    """Small numbers are flushed to zero."""
    return np.where(np.abs(images) < 1e-3, np.float32(0), images)


def _in_float16(images):
    """Overflows beyond 65,504, and loses what is below 6e-8."""
    with np.errstate(over="ignore"):
        return images.astype(np.float16).astype(np.float32)


# The whole is another program than its blocks.


def _transposed_patches(shown, images):
    rows, columns = _rows_columns(images)
    if "patches" in shown and min(rows, columns) > 1:
        batch, count, width = shown["patches"].shape
        cells = shown["patches"].reshape(batch, rows, columns, width).swapaxes(1, 2)
        shown["patches"] = np.ascontiguousarray(cells.reshape(batch, count, width))


def _reversed_patches(shown, images):
    if "patches" in shown:
        shown["patches"] = np.ascontiguousarray(shown["patches"][:, ::-1])


def _one_off(shown, images):
    """The last register for the first patch."""
    if {"patches", "registers"} <= shown.keys():
        both = np.concatenate((shown["registers"], shown["patches"]), 1)
        kept = shown["registers"].shape[1] - 1
        shown["patches"] = np.ascontiguousarray(both[:, kept:-1])


def _registers_reversed(shown, images):
    if "registers" in shown:
        shown["registers"] = np.ascontiguousarray(shown["registers"][:, ::-1])


def _registers_of_first(shown, images):
    if "registers" in shown:
        shown["registers"][1:] = shown["registers"][:1]


def _registers_pooled(shown, images):
    if {"patches", "registers"} <= shown.keys():
        shown["pooled"] = pooled(np.concatenate((shown["registers"], shown["patches"]), 1))


def _cls_pooled(shown, images):
    if "patches" in shown:
        both = np.concatenate((shown["cls"][:, None], shown["patches"]), 1)
        shown["pooled"] = pooled(both)


def _cls_of_first(shown, images):
    shown["cls"][1:] = shown["cls"][:1]


def _mean_of_batch(shown, images):
    shown["cls"] += np.float32(1e-3) * (shown["cls"].mean(0) - shown["cls"])


def _normalized(tap: str):
    def change(shown, images):
        if tap in shown:
            shown[tap] /= np.linalg.norm(shown[tap], axis=-1, keepdims=True)

    return change


def _rounded(tap: str):
    def change(shown, images):
        if tap in shown:
            shown[tap] = shown[tap].astype(np.float16).astype(np.float32)

    return change


# State.


def _retiled(images: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The same patches in another grid of as many: what positions of that grid make of an image."""
    rows, columns = _rows_columns(images)
    batch, channels = images.shape[:2]
    cells = images.reshape(batch, channels, rows, CELL, columns, CELL).transpose(0, 1, 2, 4, 3, 5)
    cells = cells.reshape(batch, channels, *grid, CELL, CELL).transpose(0, 1, 2, 4, 3, 5)
    return np.ascontiguousarray(cells.reshape(batch, channels, CELL * grid[0], CELL * grid[1]))


def _table_by_count() -> Edit:
    known: dict[int, tuple[int, int]] = {}

    def edit(features, images):
        grid = _rows_columns(images)
        first = known.setdefault(grid[0] * grid[1], grid)
        return features(images if first == grid else _retiled(images, first))

    return edit


def _first_table() -> Edit:
    """A table that is made once, for the first grid, and cut to size."""
    known: list[tuple[int, int]] = []

    def edit(features, images):
        grid = _rows_columns(images)
        known.append(grid)
        rows, columns = known[0]
        if grid == known[0] or grid[0] * grid[1] > rows * columns or grid[1] == columns:
            return features(images)
        wide = max(
            c for c in range(1, grid[0] * grid[1] + 1) if not grid[0] * grid[1] % c and c <= columns
        )
        return features(_retiled(images, (grid[0] * grid[1] // wide, wide)))

    return edit


def _kept(key: Callable[[np.ndarray], object], kept: Callable[[np.ndarray], bool] = lambda _: True):
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


def _by_call(wrong: Callable[[int], bool], strength: float = 1e-4):
    """Every so many calls the result is off by one part in so many."""

    def make() -> Edit:
        calls = [0]

        def edit(features, images):
            calls[0] += 1
            factor = np.float32(1 + strength * wrong(calls[0]))
            return {tap: value * factor for tap, value in features(images).items()}

        return edit

    return make


def _drifting() -> Edit:
    """Statistics that are updated by every call, as in training."""
    seen = [0.0]

    def edit(features, images):
        seen[0] += 1e-3 * (float(np.nan_to_num(images).mean()) - seen[0]) + 1e-4
        return features(images - np.float32(seen[0]))

    return edit


def _one_buffer() -> Edit:
    """Results in one buffer a shape, which the next call writes into."""
    buffers: dict[tuple, np.ndarray] = {}

    def edit(features, images):
        shown = {}
        for tap, value in features(images).items():
            shown[tap] = buffers.setdefault((tap, value.shape), np.empty_like(value))
            shown[tap][...] = value
        return shown

    return edit


def _left_over() -> Edit:
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


def _written_into(features, images):
    """A scratch of the image is made in its own place."""
    shown = {tap: np.array(value) for tap, value in features(images).items()}
    images *= np.float32(0.5)
    return shown


def _kept_in_half() -> Edit:
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


def _kept_last() -> Edit:
    """Results are kept by images, and given back from the end of what was kept."""
    known: dict[bytes, Taps] = {}

    def edit(features, images):
        at = images.tobytes()
        if at in known and (of_shape := [k for k in known if len(k) == len(at)]):
            return known[of_shape[-1]]
        known[at] = features(images)
        return known[at]

    return edit


def _across_instances() -> Callable[[], Edit]:
    """A table of the class and not of the instance: what one has kept another is given."""
    known: dict[tuple, Taps] = {}

    def edit(features, images):
        return known.setdefault((images.shape, images.tobytes()), features(images))

    return lambda: edit


def _row(name, words, make, found_by=WHOLE) -> WholeFault:
    return WholeFault(name, words, make, found_by)


def _shape_of_batch(images: np.ndarray) -> object:
    return images.shape


def _of_first_image(images: np.ndarray) -> object:
    return images.shape, images[0].tobytes()


def _of_mean(images: np.ndarray) -> object:
    return images.shape, round(float(np.nan_to_num(images).mean()), 5)


def _of_images(images: np.ndarray) -> object:
    return images.shape, frozenset(image.tobytes() for image in images)


def _of_size(images: np.ndarray) -> object:
    return images.shape[2:], len(images)


AGAIN, AFTER, SINGLY = "the same call twice", "after other calls", "image by image"
TURNED, OTHER, FIRST = "images in another order", "mirrored images", "other images after the first"
UNWRITTEN, STAYS = "images are only read", "results stay"
NAN, BLOCKS, WEIGHTS = "a pixel that is no number", "the whole is its blocks", "another's weights"

FAULTS = (
    *(_row(f"columns beyond {n}", f"a table of positions for {n} columns, its last repeated", _wide(n))
      for n in (16, 20, 32, 40, 64)),
    *(_row(f"rows beyond {n}", f"a table of positions for {n} rows, its last repeated", _wide(n, 2))
      for n in (16, 20, 32)),
    *(_row(f"patches beyond {n}", f"a buffer for {n} patches, the others left empty", _many(n))
      for n in (196, 256, 400, 1024)),
    _row("fewer than 8 patches", "a kernel for small images that forgets the last patch", _fewer(8)),
    _row("odd columns", "tiles of two patches, the last column not read", _odd(3)),
    _row("odd rows", "tiles of two patches, the last row not read", _odd(2)),
    _row("upright images turned", "rows and columns exchanged where rows are more",
         _on_images(_upright)),
    _row("squares alone", "what is beyond the shorter side is not read", _on_images(_squares)),
    _row("a fifth image", "a batch of four at most, the others computed as the first", _batch(4, 0)),
    _row("a third image", "a batch of two at most, the others computed as the second", _batch(2, -1)),
    _row("images in pairs", "the last of an odd number computed as the first",
         _on_images(_even_batch)),
    _row("values beyond 10 clipped", "against overflow", _clipped(10)),
    _row("values beyond 500 clipped", "against overflow", _clipped(500)),
    _row("an image of one colour is empty", "its patches were taken for padding",
         _on_images(_constant_is_empty)),
    _row("a faint image is empty", "its patches were taken for padding", _on_images(_faint_is_empty)),
    _row("large values taken for bytes", "divided by 255 where they look like pixels",
         _on_images(_bytes_guessed)),
    _row("positive values taken for pixels", "normalized where nothing is below zero",
         _on_images(_unit_guessed)),
    _row("far statistics normalized", "an image by its own deviation where that is unusual",
         _on_images(_normalized_again)),
    _row("small values flushed", "numbers below 0.001 taken for zero", _on_images(_denormal)),
    _row("images in half precision", "beyond 65,504 they overflow, all are rounded",
         _on_images(_in_float16)),
    _row("patches by columns", "the whole model hands patches out column by column",
         _on_taps(_transposed_patches)),
    _row("patches reversed", "the whole model hands patches out from the last",
         _on_taps(_reversed_patches)),
    _row("patches from one too early", "the last register was taken for a patch", _on_taps(_one_off)),
    _row("registers of the whole reversed", "handed out from the last", _on_taps(_registers_reversed)),
    _row("registers of the first image", "handed out for every image", _on_taps(_registers_of_first)),
    _row("registers pooled with patches", "the mean is of all but cls", _on_taps(_registers_pooled)),
    _row("cls pooled with patches", "the mean is of all but the registers", _on_taps(_cls_pooled)),
    _row("cls of the first image", "handed out for every image", _on_taps(_cls_of_first)),
    _row("images mixed", "a thousandth of the batch's mean in every cls", _on_taps(_mean_of_batch)),
    _row("cls of length one", "normalized for search", _on_taps(_normalized("cls"))),
    _row("patches of length one", "normalized for search", _on_taps(_normalized("patches"))),
    *(_row(f"{tap} handed out in half precision", "cast for the wire", _on_taps(_rounded(tap)))
      for tap in ("cls", "patches", "registers", "pooled")),
    _row("rope table by the number of patches", "4×4 after 2×8 is given that one's", _table_by_count),
    _row("rope table of the first grid", "made once, cut to size", _first_table),
    _row("result by shape", "what was kept is given back for another image", _kept(_shape_of_batch)),
    _row("result by size and batch", "what was kept is given back for another image", _kept(_of_size)),
    _row("result by the first image", "a batch is known by its first image", _kept(_of_first_image),
         FIRST),
    _row("result by the mean", "images are known by their mean", _kept(_of_mean), OTHER),
    _row("result of one image by shape", "kept where the batch is one",
         _kept(_shape_of_batch, lambda images: len(images) == 1), SINGLY),
    _row("first call apart", "a kernel is chosen at the first call, by a slower one",
         _by_call(lambda k: k == 1)),
    _row("second call apart", "from the second call on a compiled program", _by_call(lambda k: k > 1)),
    _row("every third call", "one of three workers has other weights", _by_call(lambda k: k % 3 == 0)),
    _row("every seventh call", "one of seven workers has other weights", _by_call(lambda k: k % 7 == 0)),
    _row("calls in turn", "every second call by another program", _by_call(lambda k: k % 2 == 0)),
    _row("results kept in half precision", "right at first, rounded for who asks again", _kept_in_half,
         AGAIN),
    _row("the last result that was kept", "asked again after others, it returns theirs", _kept_last,
         AFTER),
    _row("result by the set of images", "in whatever order they are", _kept(_of_images), TURNED),
    _row("statistics of every call", "a running mean is updated, as in training", _drifting),
    _row("results in one buffer", "the next call writes into what was handed out", _one_buffer, STAYS),
    _row("buffer of a larger image", "what was in it is added to the next image", _left_over),
    _row("images written into", "its own place is the scratch", lambda: _written_into, UNWRITTEN),
    _row("no number swallowed", "NaN taken for zero", _on_images(_finite), NAN),
    _row("a table of the class", "what one instance has kept another is given", _across_instances(),
         WEIGHTS),
)  # fmt: skip


def whole_faults() -> Mapping[str, WholeFault]:
    """The mistakes by name."""
    return MappingProxyType({fault.name: fault for fault in FAULTS})
