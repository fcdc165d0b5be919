"""Mistakes before and after the blocks: preprocessing, tokens, rotary tables, what is handed out."""

from __future__ import annotations

import numpy as np
from dinov3_parity.parity.families.base import NORMALIZATION
from dinov3_parity.parity.families.vit import pooled, split_head
from dinov3_parity.parity.faults import Fault, Site


def _channels(values) -> np.ndarray:
    return np.array(values, np.float32)[:, None, None]


def _normalized(mean, std):
    """An edit of images as if they had been normalized by other statistics than the release's."""
    right_mean, right_std = (_channels(v) for v in NORMALIZATION["lvd1689m"])
    mean, std = (_channels(v) for v in (mean, std))
    return lambda images: ((images * right_std + right_mean - mean) / std).astype(np.float32)


def _smoothed(images):
    """What an antialiasing filter leaves of an image, where the release's keeps its edges."""
    return (images + np.roll(images, 1, -1) + np.roll(images, 1, -2)) / np.float32(3)


def _cls_last(tokens, weights, variant, grid):
    return np.roll(tokens, -1, axis=1)


def _registers_first(tokens, weights, variant, grid):
    order = [*range(1, variant.prefix), 0, *range(variant.prefix, tokens.shape[1])]
    return tokens[:, order]


def _registers_dropped(tokens, weights, variant, grid):
    return np.delete(tokens, range(1, variant.prefix), axis=1)


def _mask_added(tokens, weights, variant, grid):
    tokens = tokens.copy()
    tokens[:, variant.prefix :] += weights["mask_token"]
    return tokens


def _cls_in_the_first_image(tokens, weights, variant, grid):
    tokens = tokens.copy()
    tokens[1:, 0] = 0
    return tokens


def _registers_summed(tokens, weights, variant, grid):
    tokens = tokens.copy()
    tokens[:, 1 : variant.prefix] *= len(tokens)
    return tokens


def _column_by_column(tokens, weights, variant, grid):
    rows, columns = grid
    patches = tokens[:, variant.prefix :]
    turned = patches.reshape(len(tokens), rows, columns, -1).swapaxes(1, 2)
    return np.concatenate((tokens[:, : variant.prefix], turned.reshape(patches.shape)), 1)


def _absolute_position(tokens, weights, variant, grid):
    """DINOv2 adds a position to each token; DINOv3 has none."""
    tokens, width = tokens.copy(), tokens.shape[-1]
    places = np.arange(grid[0] * grid[1], dtype=np.float32)[:, None]
    angles = places / np.float32(100) ** (np.arange(width, dtype=np.float32) / width)
    tokens[:, variant.prefix :] += np.float32(0.02) * np.sin(angles)
    return tokens


def _in_float16(tokens, weights, variant, grid):
    return tokens.astype(np.float16).astype(np.float32)


def _coords(count: int) -> np.ndarray:
    """Patch centres along an axis, as they are: -1 to 1."""
    return np.float32(2) * (np.arange(count, dtype=np.float32) + np.float32(0.5)) / count - 1


def _angles(periods, rows, columns) -> np.ndarray:
    """Angles of rows and columns of coordinates, (P, d), as they are."""
    pairs = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2, 1)
    angles = (np.float32(2 * np.pi) * pairs.astype(np.float32) / periods).astype(np.float32)
    return np.tile(angles.reshape(len(pairs), -1), 2)


def _by_coords(make):
    """An edit of the tables through coordinates: make(count, rows, columns) along each axis."""

    def edit(periods, rows, columns):
        return _angles(periods, make(rows, rows, columns), make(columns, rows, columns))

    return edit


def _exchanged(periods, rows, columns):
    first, second = np.split(
        _angles(periods, _coords(rows), _coords(columns))[:, : 2 * len(periods)], 2, 1
    )
    return np.tile(np.concatenate((second, first), 1), 2)


def _grid_transposed(periods, rows, columns):
    angles = _angles(periods, _coords(rows), _coords(columns))
    return angles.reshape(rows, columns, -1).swapaxes(0, 1).reshape(angles.shape)


def _repeated(periods, rows, columns):
    half = _angles(periods, _coords(rows), _coords(columns))[:, : 2 * len(periods)]
    return half.repeat(2, axis=1)


def _one_dimension(periods, rows, columns):
    line = np.arange(rows * columns, dtype=np.float32)[:, None, None] / periods
    return np.tile(
        np.broadcast_to(line, (rows * columns, 2, len(periods))).reshape(rows * columns, -1), 2
    )


def _tables(change):
    """An edit of sine and cosine."""

    def edit(periods, rows, columns):
        angles = _angles(periods, _coords(rows), _coords(columns))
        return change(np.sin(angles), np.cos(angles))

    return edit


def _scaled(factor):
    def edit(periods, rows, columns):
        return np.float32(factor) * _angles(periods, _coords(rows), _coords(columns))

    return edit


def _drawn(key: int) -> np.float32:
    """A number between -1 and 1, which is the key's."""
    return np.float32(np.random.default_rng(key).uniform(-1, 1))


def _rescaled(periods, rows, columns, key=0):
    """Meta's augmentation in training: both axes of coordinates by a factor of a half to two."""
    factor = np.float32(2) ** _drawn(key)
    return _angles(periods, factor * _coords(rows), factor * _coords(columns))


def _shifted(periods, rows, columns, key=0):
    shift = np.float32(0.1) * _drawn(key)
    return _angles(periods, _coords(rows) + shift, _coords(columns) + shift)


def _half(value):
    return value.astype(np.float16).astype(np.float32)


def _no_norm(shown, tokens, variant):
    return split_head(tokens, variant)


def _pool(choose):
    """An edit of what is pooled: choose(every normalized token, tokens before it, prefix)."""

    def edit(shown, tokens, variant):
        return shown | {"pooled": choose(shown["norm"], tokens, variant.prefix)}

    return edit


def _maximum(normed, tokens, prefix):
    return normed[:, prefix:].max(1)


def _cls_from_the_end(shown, tokens, variant):
    return shown | {"cls": np.ascontiguousarray(shown["norm"][:, -1])}


def _patches_from_registers_on(shown, tokens, variant):
    start = variant.prefix - 1
    patches = np.ascontiguousarray(shown["norm"][:, start:-1])
    return shown | {"patches": patches, "pooled": pooled(patches)}


def _reversed(tap):
    def edit(shown, tokens, variant):
        return shown | {tap: np.ascontiguousarray(shown[tap][:, ::-1])}

    return edit


def _registers_not_normed(shown, tokens, variant):
    return shown | {"registers": np.ascontiguousarray(tokens[:, 1 : variant.prefix])}


def _registers_with_cls(shown, tokens, variant):
    return shown | {"registers": np.ascontiguousarray(shown["norm"][:, : variant.prefix - 1])}


def _fault(site, name, words, tap, edit, hidden="", keyed=False) -> Fault:
    return Fault(name, words, site, tap, edit, hidden=hidden, keyed=keyed)


_POINT, _SQUARE, _LINE, _ONE = "one patch", "a square", "one row or column", "one image"

FAULTS = (
    _fault(Site.IMAGES, "image in 0 to 255", "pixels were not divided by 255 before normalizing",
           "patch_embed", lambda images: images * 255),
    _fault(Site.IMAGES, "image not normalized", "mean and standard deviation were not applied",
           "patch_embed", _normalized((0, 0, 0), (1, 1, 1))),
    _fault(Site.IMAGES, "image by SAT-493M's statistics", "the other dataset's mean and deviation",
           "patch_embed", _normalized(*NORMALIZATION["sat493m"])),
    _fault(Site.IMAGES, "image by CLIP's statistics", "mean and deviation of another model",
           "patch_embed", _normalized((0.481, 0.458, 0.408), (0.269, 0.261, 0.276))),
    _fault(Site.IMAGES, "image in BGR", "OpenCV's order of channels",
           "patch_embed", lambda images: np.ascontiguousarray(images[:, ::-1])),
    _fault(Site.IMAGES, "image resized by another filter", "a smoother filter than the release's",
           "patch_embed", _smoothed, "one colour"),
    _fault(Site.IMAGES, "image shifted by a pixel", "corners were aligned, or the crop rounded up",
           "patch_embed", lambda images: np.roll(images, 1, -1), "one colour"),
    _fault(Site.IMAGES, "image mirrored", "an augmentation was left on",
           "patch_embed", lambda images: np.ascontiguousarray(images[..., ::-1]),
           "one colour"),
    _fault(Site.IMAGES, "image in float16", "pixels were stored in half precision",
           "patch_embed", lambda images: images.astype(np.float16).astype(np.float32)),
    _fault(Site.IMAGES, "batch in another order", "images come back in another order",
           "patch_embed", lambda images: images[::-1].copy(), _ONE),
    _fault(Site.TOKENS, "cls last", "cls was appended, not prepended", "tokens", _cls_last),
    _fault(Site.TOKENS, "registers before cls", "the registers stand first",
           "tokens", _registers_first),
    _fault(Site.TOKENS, "registers dropped", "the port has no registers",
           "tokens", _registers_dropped),
    _fault(Site.TOKENS, "registers summed over the batch", "broadcast added where it should copy",
           "tokens", _registers_summed, _ONE),
    _fault(Site.TOKENS, "cls in the first image alone", "cls was not broadcast over the batch",
           "tokens", _cls_in_the_first_image, _ONE),
    _fault(Site.TOKENS, "mask token added", "every patch was taken for masked",
           "tokens", _mask_added),
    _fault(Site.TOKENS, "patches column by column", "the grid was flattened the other way",
           "tokens", _column_by_column, _LINE),
    _fault(Site.TOKENS, "absolute positions added", "DINOv2's positions on top of rope",
           "tokens", _absolute_position, _POINT),
    _fault(Site.TOKENS, "tokens in float16", "the embedding was cast to half precision",
           "tokens", _in_float16),
    _fault(Site.TABLES, "coords without the half", "corners in place of centres",
           "rope.sin", _by_coords(lambda n, *_: np.float32(2) * np.arange(n) / n - 1)),
    _fault(Site.TABLES, "coords by the longer side", "both axes divided by the longer",
           "rope.sin", _by_coords(lambda n, *g: 2 * (np.arange(n) + 0.5) / max(g) - 1), _SQUARE),
    _fault(Site.TABLES, "coords by the shorter side", "both axes divided by the shorter",
           "rope.sin", _by_coords(lambda n, *g: 2 * (np.arange(n) + 0.5) / min(g) - 1), _SQUARE),
    _fault(Site.TABLES, "coords from 0 to 1", "not stretched to -1 to 1",
           "rope.sin", _by_coords(lambda n, *_: (np.arange(n) + 0.5) / n)),
    _fault(Site.TABLES, "coords to the corners", "the outer patches at -1 and 1",
           "rope.sin", _by_coords(lambda n, *_: np.linspace(-1, 1, n) if n > 1 else np.zeros(1)),
           _POINT),
    _fault(Site.TABLES, "coords in float16", "a grid made in the model's half precision",
           "rope.sin", _by_coords(lambda n, *_: _half(_coords(n))), _POINT),
    _fault(Site.TABLES, "rows and columns exchanged", "columns' angles before rows'",
           "rope.sin", _exchanged, _POINT),
    _fault(Site.TABLES, "grid transposed", "the grid flattened column by column",
           "rope.sin", _grid_transposed, _LINE),
    _fault(Site.TABLES, "angles repeated, not tiled", "each angle twice in a row, for pairs",
           "rope.sin", _repeated, _POINT),
    _fault(Site.TABLES, "one-dimensional index", "patches counted through, as words are",
           "rope.sin", _one_dimension, _POINT),
    _fault(Site.TABLES, "angles without 2 pi", "a period in radians",
           "rope.sin", _scaled(1 / (2 * np.pi)), _POINT),
    _fault(Site.TABLES, "angles negated", "rotated the other way",
           "rope.sin", _scaled(-1), _POINT),
    _fault(Site.TABLES, "coords rescaled at random", "by a key, as in training: each call another",
           "rope.sin", _rescaled, _POINT, keyed=True),
    _fault(Site.TABLES, "coords shifted at random", "by a key, as in training: each call another",
           "rope.sin", _shifted, keyed=True),
    _fault(Site.TABLES, "sin and cos exchanged", "returned in the other order",
           "rope.sin", _tables(lambda sin, cos: (cos, sin))),
    _fault(Site.TABLES, "tables in float16", "sine and cosine cached in half precision",
           "rope.sin", _tables(lambda sin, cos: (_half(sin), _half(cos))), _POINT),
    _fault(Site.HEAD, "final norm skipped", "the last block's output was handed out",
           "norm", _no_norm),
    _fault(Site.HEAD, "cls from the end", "the last token was taken for cls",
           "cls", _cls_from_the_end),
    _fault(Site.HEAD, "one register among the patches", "the prefix was counted one too short",
           "patches", _patches_from_registers_on),
    _fault(Site.HEAD, "cls among the registers", "the registers were sliced from 0",
           "registers", _registers_with_cls),
    _fault(Site.HEAD, "registers handed out in reverse", "the registers' order was lost",
           "registers", _reversed("registers")),
    _fault(Site.HEAD, "registers not normed", "registers were taken before the last norm",
           "registers", _registers_not_normed),
    _fault(Site.HEAD, "patches from the last to the first", "rows were counted from the bottom",
           "patches", _reversed("patches"), _POINT),
    _fault(Site.HEAD, "registers pooled too", "pooled from the second token on",
           "pooled", _pool(lambda normed, tokens, prefix: pooled(normed[:, 1:]))),
    _fault(Site.HEAD, "cls pooled too", "pooled over every token",
           "pooled", _pool(lambda normed, tokens, prefix: pooled(normed))),
    _fault(Site.HEAD, "pooled before the norm", "the mean of what was not normalized",
           "pooled", _pool(lambda normed, tokens, prefix: pooled(tokens[:, prefix:]))),
    _fault(Site.HEAD, "pooled by maximum", "the maximum for the mean",
           "pooled", _pool(_maximum), _POINT),
)  # fmt: skip
