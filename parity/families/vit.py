"""The vision transformers: seven backbones of the LVD-1689M releases, two of SAT-493M.

Source of the numbers: the checkpoints' own layout and the DINOv3 paper (arXiv 2508.10104).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from dinov3_parity.parity.families import vit_taps
from dinov3_parity.parity.families.base import Family, Place, Shape, Tap, Tensor, Variant

EMBED, BLOCK, HEAD = vit_taps.EMBED, vit_taps.BLOCK, vit_taps.HEAD


@dataclass(frozen=True)
class VisionTransformer(Variant):
    """The geometry of a vision transformer; ``hidden`` is the width of the FFN's hidden activations (of
    SwiGLU: of each of its branches)."""

    dim: int  #: D, the width of a token
    depth: int  #: how many blocks
    heads: int
    ffn: str  #: ``mlp`` (exact GELU) or ``swiglu``
    hidden: int
    qkv_bias: bool = True
    local_cls_norm: bool = False  #: a training-only norm that is stored but unused at inference
    align: int = 8  #: SwiGLU's hidden width is rounded up to a multiple of this
    registers: int = 4  #: Meta calls them storage tokens
    patch: int = 16  #: pixels a side
    eps: float = 1e-5  #: of every LayerNorm
    rope_base: float = 100.0
    family = "vit"

    @property
    def head_dim(self) -> int:
        """d, the width of one head."""
        return self.dim // self.heads

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: cls and registers."""
        return 1 + self.registers

    def number(self, i: int) -> int:
        """The number in the release of block i."""
        return self.numbers[i] if self.numbers else i

    @property
    def blocks_of_release(self) -> int:
        """The number of blocks of the release that this is a subset of, or is."""
        return VARIANTS[self.name].depth if self.numbers else self.depth

    def tokens(self, grid: tuple[int, int]) -> int:
        """Length of the token sequence for a patch grid of (rows, columns)."""
        return self.prefix + grid[0] * grid[1]


_LVD, _SAT = "lvd1689m", "sat493m"
_7B = {"qkv_bias": False, "local_cls_norm": True, "align": 64}

# name, architecture, dataset, hash, dim, depth, heads, ffn, hidden
_ROWS = (
    ("vits16", "vits16", _LVD, "08c60483", 384, 12, 6, "mlp", 1536, {}),
    ("vits16plus", "vits16plus", _LVD, "4057cbaa", 384, 12, 6, "swiglu", 1536, {}),
    ("vitb16", "vitb16", _LVD, "73cec8be", 768, 12, 12, "mlp", 3072, {}),
    ("vitl16", "vitl16", _LVD, "8aa4cbdd", 1024, 24, 16, "mlp", 4096, {}),
    ("vitl16plus", "vitl16plus", _LVD, "46503df0", 1024, 24, 16, "swiglu", 4096, {}),
    ("vith16plus", "vith16plus", _LVD, "7c1da9a5", 1280, 32, 20, "swiglu", 5120, {}),
    ("vit7b16", "vit7b16", _LVD, "a955f4ea", 4096, 40, 32, "swiglu", 8192, _7B),
    ("vitl16_sat", "vitl16", _SAT, "eadcf0ff", 1024, 24, 16, "mlp", 4096, {"local_cls_norm": True}),
    ("vit7b16_sat", "vit7b16", _SAT, "a6675841", 4096, 40, 32, "swiglu", 8192, _7B),
)


def _variant(*row: Any) -> VisionTransformer:
    *given, more = row
    return VisionTransformer(*given, **more)


VARIANTS: Mapping[str, VisionTransformer] = MappingProxyType(
    {row[0]: _variant(*row) for row in _ROWS}
)


def places(variant: VisionTransformer) -> tuple[Place, ...]:
    """Where it is looked at: embedding, every block, head."""
    blocks = (Place(BLOCK, (i,)) for i in range(variant.depth))
    return (Place(EMBED), *blocks, Place(HEAD))


def subset(variant: VisionTransformer, numbers: tuple[int, ...]) -> VisionTransformer:
    """A variant of those blocks alone, one after the other."""
    own = tuple(variant.number(i) for i in numbers)
    return replace(variant, depth=len(numbers), numbers=own)


def numbered(variant: VisionTransformer, place: Place) -> Place:
    """A place with the number that its block has in the release."""
    if place.part != BLOCK:
        return place
    return Place(BLOCK, (variant.number(place.index[0]),))


def _block(v: VisionTransformer) -> Iterator[tuple[str, Shape, str]]:
    """Leaf, shape and role of one block's tensors, in the order of the file."""
    d = v.dim
    yield "norm1.weight", (d,), "norm.weight"
    yield "norm1.bias", (d,), "norm.bias"
    yield "attn.qkv.weight", (3 * d, d), "projection"
    if v.qkv_bias:
        yield "attn.qkv.bias", (3 * d,), "qkv.bias"
        yield "attn.qkv.bias_mask", (3 * d,), "qkv.bias_mask"
    yield "attn.proj.weight", (d, d), "projection"
    yield "attn.proj.bias", (d,), "bias"
    yield "ls1.gamma", (d,), "layer_scale"
    yield "norm2.weight", (d,), "norm.weight"
    yield "norm2.bias", (d,), "norm.bias"
    for name, rows, columns in ffn_projections(v):
        yield f"mlp.{name}.weight", (rows, columns), "projection"
        yield f"mlp.{name}.bias", (rows,), "bias"
    yield "ls2.gamma", (d,), "layer_scale"


def ffn_projections(v: VisionTransformer) -> tuple[tuple[str, int, int], ...]:
    """Meta's names of the FFN's projections, with outputs and inputs; the last one leads back."""
    if v.ffn == "mlp":
        return ("fc1", v.hidden, v.dim), ("fc2", v.dim, v.hidden)
    return ("w1", v.hidden, v.dim), ("w2", v.hidden, v.dim), ("w3", v.dim, v.hidden)


@lru_cache(maxsize=32)
def tensors(v: VisionTransformer) -> tuple[Tensor, ...]:
    """Every tensor of the release, float32, in the order of the file."""
    d, embed, head = v.dim, Place(EMBED), Place(HEAD)
    found = [
        _end("cls_token", (1, 1, d), embed, "prefix_token"),
        _end("storage_tokens", (1, v.registers, d), embed, "prefix_token"),
        _end("mask_token", (1, d), embed, "mask_token"),
        _end("patch_embed.proj.weight", (d, 3, v.patch, v.patch), embed, "projection"),
        _end("patch_embed.proj.bias", (d,), embed, "bias"),
        _end("rope_embed.periods", (v.head_dim // 4,), None, "rope.periods"),
    ]
    for place in places(v)[1:-1]:
        prefix = f"blocks.{place.index[0]}."
        found += [
            Tensor(prefix + leaf, shape, place, leaf, role) for leaf, shape, role in _block(v)
        ]
    for norm in ("norm", "local_cls_norm") if v.local_cls_norm else ("norm",):
        found += [_end(f"{norm}.{leaf}", (d,), head, f"norm.{leaf}") for leaf in ("weight", "bias")]
    return tuple(found)


def _end(name: str, shape: Shape, place: Place | None, role: str) -> Tensor:
    return Tensor(name, shape, place, name, role)


def axes(v: VisionTransformer, batch: int, grid: tuple[int, int]) -> dict[str, int]:
    """B batch, N tokens, P patches, D model width, h heads, d head width, F hidden width, R registers."""
    return {
        "B": batch, "N": v.tokens(grid), "P": grid[0] * grid[1], "D": v.dim, "h": v.heads,
        "d": v.head_dim, "F": v.hidden, "R": v.registers,
    }  # fmt: skip


def has(v: VisionTransformer, what: str) -> bool:
    """Whether a variant has a kind of FFN, or another property by its name; "" is had by all."""
    return what in ("", v.ffn) or bool(getattr(v, what, False))


def split(v: VisionTransformer, tap: Tap, tokens: list) -> dict[str, list]:
    """A tap's tokens as ``cls``, ``registers`` and ``patches``; none where it has no tokens."""
    if "N" in tap.shape:
        registers, patches = tokens[1 : v.prefix], tokens[v.prefix :]
        return {"cls": tokens[:1], "registers": registers, "patches": patches}
    names = {"P": "patches", "R": "registers"}
    return {names[word]: tokens for word in tap.shape if word in names}


def grid(v: VisionTransformer, shape: Shape) -> tuple[int, int]:
    """The patch grid (rows, columns) of an image batch of shape (B, 3, H, W)."""
    return shape[2] // v.patch, shape[3] // v.patch


def atoms(v: VisionTransformer, batch: int, grid: tuple[int, int]) -> dict[str, int]:
    """What axes are made of: r rows and c columns of patches, h heads of d, d two halves."""
    rows, columns = grid
    finer = {"r": rows, "c": columns, "halves": 2, "half": v.head_dim // 2}
    return axes(v, batch, grid) | finer


def finer(tap: Tap, word: str) -> tuple[str, ...]:
    """The atoms of one axis of a tap; d is taken apart in rotary tables alone, which repeat a half."""
    if word == "d" and "B" not in tap.shape:
        return "halves", "half"
    return {"D": ("h", "d"), "P": ("r", "c")}.get(word, (word,))


def rope_periods(variant: VisionTransformer) -> np.ndarray:
    """Rotary periods, float32 (head_dim / 4,): base^(2k / (head_dim / 2)), rounded to bfloat16.

    The releases store the rounded values; a port that recomputes them in float32 differs.
    """
    k = np.arange(variant.head_dim // 4, dtype=np.float64)
    exact = (variant.rope_base ** (2 * k / (variant.head_dim / 2))).astype(np.float32)
    bits = exact.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)  # to nearest, even
    return rounded.view(np.float32)


def bias_mask(variant: VisionTransformer) -> np.ndarray:
    """The mask of the joint bias as the releases mean it, float32 (3 D,): zeros over the k third."""
    return np.repeat(np.array([1, 0, 1], np.float32), variant.dim)


def draw(
    variant: VisionTransformer, tensor: Tensor, profile: str, rng: np.random.Generator
) -> np.ndarray:
    """A tensor's synthetic numbers by its role, float32; see ``fixtures.checkpoints.synthetic``."""
    shape, role = tensor.shape, tensor.role

    def normal(std: float, mean: float = 0.0) -> np.ndarray:
        return mean + np.float32(std) * rng.standard_normal(shape, dtype=np.float32)

    if role in ("qkv.bias", "qkv.bias_mask") and profile == "release-like":
        return np.zeros(shape, np.float32)
    match role:
        case "rope.periods":
            return rope_periods(variant)
        case "qkv.bias_mask":
            return bias_mask(variant)
        case "qkv.bias":
            return normal(0.5)
        case "layer_scale":
            return rng.uniform(0.1, 0.5, shape).astype(np.float32)
        case "norm.weight":
            return np.abs(normal(0.25, 1.0))
        case "prefix_token":
            tokens = normal(0.5)
            tokens *= np.float32(2.0) ** np.arange(-1, tokens.shape[1] - 1)[:, None]
            tokens[..., rng.integers(variant.dim, size=2)] += 20  # massive channels
            return tokens.astype(np.float32)
        case "mask_token":
            return normal(0.5)
        case "projection":  # gain 1.2 keeps attention and GELU off-centre
            return normal(1.2 / math.sqrt(math.prod(shape[1:])))
    return normal(0.2)  # every other bias


def pooled(patches: np.ndarray) -> np.ndarray:
    """Mean of patch tokens, float32 (B, P, D) to (B, D), as the published workflow compares it.

    No stage pools; the sum is taken in float64 so that the figure shows the patches' error alone.
    """
    return patches.mean(1, dtype=np.float64).astype(np.float32)


def split_head(normed: np.ndarray, variant: VisionTransformer) -> dict[str, np.ndarray]:
    """The head's taps from every token after the final norm, float32 (B, N, D): ``norm``, all of them
    as they are, ``cls`` (B, D), ``registers`` (B, R, D), ``patches`` (B, P, D), ``pooled`` (B, D)."""
    patches = normed[:, variant.prefix :]
    parts = {
        "norm": normed,
        "cls": normed[:, 0],
        "registers": normed[:, 1 : variant.prefix],
        "patches": patches,
        "pooled": pooled(patches),
    }
    return {name: np.ascontiguousarray(value) for name, value in parts.items()}


VIT = Family(
    name="vit",
    variants=VARIANTS,
    parts=vit_taps.PARTS,
    returned=("cls", "patches", "pooled"),
    published=("cls", "pooled"),
    places=places,
    tensors=tensors,
    axes=axes,
    draw=draw,
    has=has,
    subset=subset,
    numbered=numbered,
    split=split,
    grid=grid,
    holds=vit_taps.HOLDS,
    across=vit_taps.ACROSS,
    folds=vit_taps.FOLDS,
    derived=vit_taps.DERIVED,
    atoms=atoms,
    finer=finer,
)
