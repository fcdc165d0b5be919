"""The tap table: the named points of the computation, where they stand and who can show them.

``after`` lists the taps a tap is computed from, so the table is the dataflow graph of the model:
embedding, one block (repeated), head. Shapes are in words: B batch, N tokens, P patches, D model
width, h heads, d head width, F hidden width, R registers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from dinov3_parity.parity.variants import Variant

EMBED, BLOCK, HEAD = "embed", "block", "head"

#: The parts of the model, in the order of the computation.
PARTS = (EMBED, BLOCK, HEAD)


@dataclass(frozen=True)
class Tap:
    name: str
    part: str  # EMBED, BLOCK or HEAD
    after: tuple[str, ...]
    shape: tuple[str, ...]  # in words, see ``extent``
    meaning: str
    ffn: str = ""  # only for variants with this FFN kind; "" is every variant
    #: stages that cannot show it, with the reason; every other stage must
    absent: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def token_axes(self) -> tuple[int, ...]:
        """The axes that count tokens, the batch among them: (0, 1) of B N D, (0, 2) of B h N N.

        Of two N the first is the query's; the figures of one token are all the other axes.
        """
        first = {word: axis for axis, word in reversed(list(enumerate(self.shape)))}
        return tuple(sorted(first[word] for word in "BNPR" if word in first))


def _tap(name, part, after, shape, meaning, ffn="", **absent) -> Tap:
    return Tap(
        name, part, tuple(after.split()), tuple(shape.split()), meaning, ffn,
        MappingProxyType(absent),
    )  # fmt: skip


_TABLE = (
    _tap("patch_embed", EMBED, "", "B P D", "patches projected, row by row"),
    _tap("tokens", EMBED, "patch_embed", "B N D", "cls, registers, patches joined"),
    _tap("rope.sin", EMBED, "", "P d", "sine of the rotary angles"),
    _tap("rope.cos", EMBED, "", "P d", "cosine of the rotary angles"),
    _tap("input", BLOCK, "", "B N D", "what the block is given"),
    _tap("norm1", BLOCK, "input", "B N D", "first LayerNorm"),
    _tap("attn.q_proj", BLOCK, "norm1", "B N D", "queries with bias, before rope"),
    _tap("attn.k_proj", BLOCK, "norm1", "B N D", "keys, their bias masked, before rope"),
    _tap("attn.v_proj", BLOCK, "norm1", "B N D", "values with bias"),
    _tap("attn.q", BLOCK, "attn.q_proj", "B h N d", "queries after rope"),
    _tap("attn.k", BLOCK, "attn.k_proj", "B h N d", "keys after rope"),
    _tap("attn.logits", BLOCK, "attn.q attn.k", "B h N N", "scaled scores before the softmax"),
    _tap("attn.probs", BLOCK, "attn.logits", "B h N N", "attention probabilities"),
    _tap("attn.context", BLOCK, "attn.probs attn.v_proj", "B N D", "heads merged, before proj"),
    _tap("attn.out", BLOCK, "attn.context", "B N D", "output projection"),
    _tap("ls1", BLOCK, "attn.out", "B N D", "first LayerScale"),
    _tap("residual1", BLOCK, "input ls1", "B N D", "first residual sum"),
    _tap("norm2", BLOCK, "residual1", "B N D", "second LayerNorm"),
    _tap("ffn.gate", BLOCK, "norm2", "B N F", "w1 x, before SiLU", "swiglu"),
    _tap("ffn.up", BLOCK, "norm2", "B N F", "fc1 x before GELU, or w2 x"),
    _tap("ffn.hidden", BLOCK, "ffn.gate ffn.up", "B N F", "activations into the last projection"),
    _tap("ffn.out", BLOCK, "ffn.hidden", "B N D", "output of the FFN"),
    _tap("ls2", BLOCK, "ffn.out", "B N D", "second LayerScale"),
    _tap("output", BLOCK, "residual1 ls2", "B N D", "second residual sum: the block's output"),
    _tap("norm", HEAD, "", "B N D", "final LayerNorm of every token"),
    _tap("cls", HEAD, "norm", "B D", "normalized cls token"),
    _tap("registers", HEAD, "norm", "B R D", "normalized registers"),
    _tap("patches", HEAD, "norm", "B P D", "normalized patch tokens"),
    _tap("pooled", HEAD, "patches", "B D", "mean of the normalized patch tokens"),
)

TAPS: MappingProxyType[str, Tap] = MappingProxyType({tap.name: tap for tap in _TABLE})

#: The taps compared in chained mode, block by block: what one block hands to the next, and the
#: sum half-way. The taps inside are compared in isolated mode, where a fault stays in its place.
CHAINED = ("input", "residual1", "output")


#: How each stage's own computation calls a tap: a module of it, or a value beside one. ``<`` is what
#: a module is given, ``>`` what it returns. The stages' modules say how it is got at there.
_CALLED = """
patch_embed   patch_embed >         patch_embed >           patch_embed >           PatchEmbed >
tokens        cat                   features >, no blocks   _encode >, no blocks    Block 0 <
rope.sin      rope_embed >          get_sincos >            DinoRotary…sin          Sin >
rope.cos      rope_embed >          get_sincos >            DinoRotary…cos          Cos >
input         block <               prenorm <               norm1 <                 Block <
norm1         norm1 >               prenorm >               norm1 >                 Attention <
attn.q_proj   attn.qkv > 1/3        attn.qkv > 1/3          query_proj >            LinearLastDim 1 >
attn.k_proj   attn.qkv > 2/3        attn.qkv > 2/3          key_proj >              LinearLastDim 2 >
attn.v_proj   attn.qkv > 3/3        attn.qkv > 3/3          value_proj >            LinearLastDim 3 >
attn.q        rotate >              rope_apply_qk… > 1      process_heads > 1       Rotate 1 >
attn.k        rotate >              rope_apply_qk… > 2      process_heads > 2       Rotate 2 >
attn.logits   softmax <             jax.nn.softmax <        jax.nn.softmax <        Softmax <
attn.probs    softmax >             jax.nn.softmax >        jax.nn.softmax >        Softmax >
attn.context  attn.proj <           attn.proj <             output_proj <           LinearLastDim 4 <
attn.out      attn.proj >           attn >                  attn >                  Attention >
ls1           ls1 >                 ls1 >                   ls1 >                   LayerScale 1 >
residual1     norm2 <               norm <                  norm2 <                 Add 1 >
norm2         norm2 >               norm >                  norm2 >                 DinoMlp <
ffn.gate      mlp.w1 >              mlp.w1 >                -                       -
ffn.up        mlp.fc1 >, mlp.w2 >   mlp.fc1 >, mlp.w2 >     mlp.fc1 >               DinoMlp Linear…1 >
ffn.hidden    mlp.fc2 <, mlp.w3 <   mlp.fc2 <, mlp.w3 <     mlp.fc2 <               DinoMlp Linear…2 <
ffn.out       mlp >                 mlp >                   mlp >                   DinoMlp >
ls2           ls2 >                 ls2 >                   ls2 >                   LayerScale 2 >
output        block >               block >                 block >                 Add 2 >
norm          norm >                norm >                  norm >                  norm >
cls           norm > [0]            norm > [0]              norm > [0]              norm > [0]
registers     norm > [1:5]          norm > [1:5]            norm > [1:5]            norm > [1:5]
patches       norm > [5:]           norm > [5:]             norm > [5:]             norm > [5:]
pooled        patches, mean         patches, mean           patches, mean           patches, mean
"""
_CALLERS = ("meta", "equimo", "mapped", "onnx")


def called() -> dict[str, dict[str, str]]:
    """How the built-in stages call each tap: {tap: {stage: name there}}; "-" is nothing such."""
    rows = (re.split(r"  +", line) for line in _CALLED.strip().splitlines())
    return {name: dict(zip(_CALLERS, words, strict=True)) for name, *words in rows}


def taps_of(part: str, variant: Variant, stage: str) -> tuple[Tap, ...]:
    """The taps that ``stage`` must show in one part of the model, in dataflow order."""
    return tuple(
        tap
        for tap in _TABLE
        if tap.part == part and tap.ffn in ("", variant.ffn) and stage not in tap.absent
    )


def extent(tap: Tap, variant: Variant, batch: int, grid: tuple[int, int]) -> tuple[int, ...]:
    """The shape of a tap in numbers, for a batch and a patch grid (rows, columns)."""
    patches = grid[0] * grid[1]
    sizes = {
        "B": batch, "N": variant.prefix + patches, "P": patches, "D": variant.dim,
        "h": variant.heads, "d": variant.head_dim, "F": variant.hidden, "R": variant.registers,
    }  # fmt: skip
    return tuple(sizes[axis] for axis in tap.shape)


def grid_of(images: np.ndarray, patch: int = 16) -> tuple[int, int]:
    """The patch grid (rows, columns) of an image batch (B, 3, H, W)."""
    return images.shape[2] // patch, images.shape[3] // patch


def pooled(patches: np.ndarray) -> np.ndarray:
    """Mean of patch tokens (B, P, D) to (B, D) float32, as the published workflow compares it.

    No stage pools; the sum is taken in float64 so that the figure shows the patches' error alone.
    """
    return patches.mean(1, dtype=np.float64).astype(np.float32)


def split_head(normed: np.ndarray, variant: Variant) -> dict[str, np.ndarray]:
    """The head's taps from every token after the final norm, (B, N, D)."""
    patches = normed[:, variant.prefix :]
    parts = {
        "norm": normed,
        "cls": normed[:, 0],
        "registers": normed[:, 1 : variant.prefix],
        "patches": patches,
        "pooled": pooled(patches),
    }
    return contiguous(parts)


def named_features(shown: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The head's taps from the dictionary that Equimo's ``forward_features`` returns."""
    patches = np.asarray(shown["x_norm_patchtokens"])
    return {
        "cls": np.asarray(shown["x_norm_cls_token"]),
        "registers": np.asarray(shown["x_norm_reg_tokens"]),
        "patches": patches,
        "pooled": pooled(patches),
    }


def contiguous(taps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(value) for name, value in taps.items()}
