"""The official DINOv3 ViT releases: geometry, FFN kind, file name and dataset of each.

Source of the numbers: the checkpoints' own layout and the DINOv3 paper (arXiv 2508.10104).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

#: Image statistics (mean, std per RGB channel) of the evaluation transform, by dataset.
NORMALIZATION = MappingProxyType(
    {
        "lvd1689m": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "sat493m": ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143)),
    }
)


@dataclass(frozen=True)
class Variant:
    """One official backbone.

    ``hidden`` is the width of the FFN's hidden activations (for SwiGLU: of each of its two branches).
    """

    name: str
    dim: int
    depth: int
    heads: int
    ffn: str  # "mlp" (exact GELU) or "swiglu"
    hidden: int
    architecture: str  # Meta's name of the model, without the dataset
    dataset: str  # "lvd1689m" or "sat493m"
    hash_prefix: str  # first 8 hex digits of the release file's sha256
    qkv_bias: bool = True
    local_cls_norm: bool = False  # a training-only norm that is stored but unused at inference
    align: int = 8  # SwiGLU's hidden width is rounded up to a multiple of this
    registers: int = 4  # Meta calls them storage tokens
    patch: int = 16
    eps: float = 1e-5
    rope_base: float = 100.0
    numbers: tuple[int, ...] = ()  # of an excerpt: which blocks of the release its blocks are

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: cls and registers."""
        return 1 + self.registers

    @property
    def release(self) -> str:
        """Meta's name of the release, e.g. ``dinov3_vits16_pretrain_lvd1689m``."""
        return f"dinov3_{self.architecture}_pretrain_{self.dataset}"

    @property
    def file_name(self) -> str:
        return f"{self.release}-{self.hash_prefix}.pth"

    def number(self, i: int) -> int:
        """The number in the release of block i."""
        return self.numbers[i] if self.numbers else i

    @property
    def release_depth(self) -> int:
        """The number of blocks of the release that this is an excerpt of, or is."""
        return VARIANTS[self.name].depth if self.numbers else self.depth

    def tokens(self, grid: tuple[int, int]) -> int:
        """Length of the token sequence for a patch grid of (rows, columns)."""
        return self.prefix + grid[0] * grid[1]


def excerpt(variant: Variant, numbers: tuple[int, ...]) -> Variant:
    """A variant of those blocks alone, one after the other."""
    return replace(
        variant, depth=len(numbers), numbers=tuple(variant.number(i) for i in numbers)
    )  # fmt: skip


_ALL = (
    Variant("vits16", 384, 12, 6, "mlp", 1536, "vits16", "lvd1689m", "08c60483"),
    Variant("vits16plus", 384, 12, 6, "swiglu", 1536, "vits16plus", "lvd1689m", "4057cbaa"),
    Variant("vitb16", 768, 12, 12, "mlp", 3072, "vitb16", "lvd1689m", "73cec8be"),
    Variant("vitl16", 1024, 24, 16, "mlp", 4096, "vitl16", "lvd1689m", "8aa4cbdd"),
    Variant("vitl16plus", 1024, 24, 16, "swiglu", 4096, "vitl16plus", "lvd1689m", "46503df0"),
    Variant("vith16plus", 1280, 32, 20, "swiglu", 5120, "vith16plus", "lvd1689m", "7c1da9a5"),
    Variant(
        "vit7b16", 4096, 40, 32, "swiglu", 8192, "vit7b16", "lvd1689m", "a955f4ea",
        qkv_bias=False, local_cls_norm=True, align=64,
    ),
    Variant(
        "vitl16_sat", 1024, 24, 16, "mlp", 4096, "vitl16", "sat493m", "eadcf0ff",
        local_cls_norm=True,
    ),
    Variant(
        "vit7b16_sat", 4096, 40, 32, "swiglu", 8192, "vit7b16", "sat493m", "a6675841",
        qkv_bias=False, local_cls_norm=True, align=64,
    ),
)  # fmt: skip

VARIANTS: MappingProxyType[str, Variant] = MappingProxyType({v.name: v for v in _ALL})
