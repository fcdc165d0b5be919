"""The taps of the vision transformers: where they stand, and up to which noise ratio a stage is faithful.

``after`` lists the taps a tap is computed from, so the table is the dataflow graph of the model:
embedding, one block (repeated), head. Shapes are in words: B batch, N tokens, P patches, D model
width, h heads, d head width, F hidden width, R registers.

Limits are justified by measurement. ``dinov3-parity calibrate`` holds fourteen honest orders of a NumPy
port to them (sequential sums, lanes, halves, FMA, bias first and last, norms by three methods, angles by
eleven formulas), isolated, and in chains on an eighth of the inputs; ``tox -e calibration`` draws 1,100
inputs of every size and content, climbs towards the largest ratio, and compares Equimo, the mapped
example and its ONNX file with Meta on each; ``tox -e thorough`` compares every block on 200 inputs.

A row ends with the limit of a whole tap of many tokens (of fewer see ``Limit.of``) and that of one token,
then the strongest ratios that any of these has shown, of the whole as of many tokens, and of one token,
and what the first would be against Meta's one run, without twins. The longest honest order is expected to
err by just the floor, so the limit of many is ``base.MARGIN``; every strongest is at least so far below
its limit. What stands out:

- norms: one number a token, its variance, errs for all its channels at once, so a token's ratio is a draw
  from a bell of width 1: the worst of some 100,000 tokens is at 4.2, and the limit at 6.5, which one in
  ten billion passes. Whole taps of few tokens (``cls`` has one an image, ``patches`` and ``pooled`` one
  on a grid of one patch) are as wide;
- rope tables: a coordinate errs in all its row's angles at once, by any of six formulas;
- logits: patches of one colour have one query and one key before rope, and err alike in all their rows;
- probabilities: a row with one large logit errs as that logit does, in all its numbers at once;
- the copy of a block's input is exact: whatever errs there was not copied.

Measured on an AMD EPYC with AVX-512 and FMA: torch 2.13 (AVX-512 kernels, MKL, oneDNN), NumPy 2.4 on
OpenBLAS 0.3.31, jaxlib 0.10.2, onnxruntime 1.32; and with all of them held to SSE4 and to AVX2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dinov3_parity.parity.families.base import Limit, Part, Tap

EMBED, BLOCK, HEAD = "embed", "block", "head"


def _tap(name: str, part: str, after: str, shape: str, meaning: str, limit: tuple, only="") -> Tap:
    before, axes = tuple(after.split()), tuple(shape.split())
    return Tap(name, part, before, axes, meaning, Limit(*limit), only)


_EMBED = (
    _tap("patch_embed", EMBED, "", "B P D", "patches projected, row by row",
         (1.5, 4.0, 0.91, 1.42, 22.26)),
    _tap("tokens", EMBED, "patch_embed", "B N D", "cls, registers, patches joined",
         (1.5, 4.0, 0.93, 1.42, 7.78)),
    _tap("rope.sin", EMBED, "", "P d", "sine of the rotary angles",
         (2.0, 5.0, 1.03, 2.77, 2.83)),
    _tap("rope.cos", EMBED, "", "P d", "cosine of the rotary angles",
         (2.0, 5.0, 1.08, 2.09, 2.52)),
)  # fmt: skip

_BLOCK = (
    _tap("input", BLOCK, "", "B N D", "what the block is given",
         (1.5, 4.0, 0.93, 1.42, 7.78)),
    _tap("norm1", BLOCK, "input", "B N D", "first LayerNorm",
         (1.5, 6.5, 0.96, 3.88, 2.23)),
    _tap("attn.q_proj", BLOCK, "norm1", "B N D", "queries with bias, before rope",
         (1.5, 4.0, 0.80, 1.68, 1.45)),
    _tap("attn.k_proj", BLOCK, "norm1", "B N D", "keys, their bias masked, before rope",
         (1.5, 4.0, 0.78, 1.67, 1.29)),
    _tap("attn.v_proj", BLOCK, "norm1", "B N D", "values with bias",
         (1.5, 4.0, 0.80, 1.75, 1.43)),
    _tap("attn.q", BLOCK, "attn.q_proj", "B h N d", "queries after rope",
         (1.5, 4.0, 0.85, 1.68, 1.46)),
    _tap("attn.k", BLOCK, "attn.k_proj", "B h N d", "keys after rope",
         (1.5, 4.0, 0.93, 1.64, 1.46)),
    _tap("attn.logits", BLOCK, "attn.q attn.k", "B h N N", "scaled scores before the softmax",
         (2.0, 4.5, 1.29, 1.77, 1.95)),
    _tap("attn.probs", BLOCK, "attn.logits", "B h N N", "attention probabilities",
         (1.5, 4.5, 0.96, 2.56, 1.46)),
    _tap("attn.context", BLOCK, "attn.probs attn.v_proj", "B N D", "heads merged, before proj",
         (1.5, 4.0, 0.92, 2.06, 1.67)),
    _tap("attn.out", BLOCK, "attn.context", "B N D", "output projection",
         (1.5, 4.0, 0.86, 1.81, 1.53)),
    _tap("ls1", BLOCK, "attn.out", "B N D", "first LayerScale",
         (1.5, 4.0, 0.88, 1.83, 1.54)),
    _tap("residual1", BLOCK, "input ls1", "B N D", "first residual sum",
         (1.5, 4.0, 0.87, 1.98, 1.86)),
    _tap("norm2", BLOCK, "residual1", "B N D", "second LayerNorm",
         (1.5, 6.5, 0.85, 3.21, 1.83)),
    _tap("ffn.gate", BLOCK, "norm2", "B N F", "w1 x, before SiLU",
         (1.5, 4.0, 0.77, 1.71, 1.31), "swiglu"),
    _tap("ffn.up", BLOCK, "norm2", "B N F", "fc1 x before GELU, or w2 x",
         (1.5, 4.0, 0.77, 1.71, 1.31)),
    _tap("ffn.hidden", BLOCK, "ffn.gate ffn.up", "B N F", "activations into the last projection",
         (1.5, 4.0, 0.78, 1.69, 1.32)),
    _tap("ffn.out", BLOCK, "ffn.hidden", "B N D", "output of the FFN",
         (1.5, 4.0, 0.86, 1.33, 1.91)),
    _tap("ls2", BLOCK, "ffn.out", "B N D", "second LayerScale",
         (1.5, 4.0, 0.87, 1.40, 1.94)),
    _tap("output", BLOCK, "residual1 ls2", "B N D", "second residual sum: the block's output",
         (1.5, 4.0, 0.87, 1.46, 1.84)),
)  # fmt: skip

_HEAD = (
    _tap("norm", HEAD, "", "B N D", "final LayerNorm of every token", (1.5, 6.5, 0.83, 3.77, 2.29)),
    _tap("cls", HEAD, "norm", "B D", "normalized cls token", (2.0, 6.5, 1.32, 4.08, 4.59)),
    _tap("registers", HEAD, "norm", "B R D", "normalized registers", (1.5, 6.5, 0.89, 4.16, 2.24)),
    _tap("patches", HEAD, "norm", "B P D", "normalized patch tokens", (1.5, 6.5, 0.83, 3.83, 2.44)),
    _tap(
        "pooled",
        HEAD,
        "patches",
        "B D",
        "mean of the normalized patch tokens",
        (1.5, 6.5, 0.69, 2.99, 2.44),
    ),
)

#: The parts in the order of the computation. In a stage's own chain the taps between blocks are compared,
#: and the sum half-way; the taps inside are compared block by block, where a fault stays in its place.
PARTS: Mapping[str, Part] = MappingProxyType({
    EMBED: Part(EMBED, "Embedding", _EMBED, handed_on="tokens"),
    BLOCK: Part(
        BLOCK, "Block: attention | Block: feed-forward", _BLOCK, given="input", handed_on="output",
        chained=("input", "residual1", "output"), halves="residual1",
    ),
    HEAD: Part(HEAD, "Head", _HEAD, chained=tuple(tap.name for tap in _HEAD)),
})  # fmt: skip

#: Which tensors a tap's operation reads, by their leaves; of a joint one the part.
HOLDS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "patch_embed": ("patch_embed.proj.weight", "patch_embed.proj.bias"),
    "norm1": ("norm1.weight", "norm1.bias"),
    "attn.q_proj": ("attn.qkv.weight[0/3]", "attn.qkv.bias[0/3]"),
    "attn.k_proj": ("attn.qkv.weight[1/3]", "attn.qkv.bias[1/3]"),
    "attn.v_proj": ("attn.qkv.weight[2/3]", "attn.qkv.bias[2/3]"),
    "attn.out": ("attn.proj.weight", "attn.proj.bias"),
    "ls1": ("ls1.gamma",),
    "norm2": ("norm2.weight", "norm2.bias"),
    "ffn.gate": ("mlp.w1.weight", "mlp.w1.bias"),
    "ffn.up": ("mlp.fc1.weight", "mlp.fc1.bias", "mlp.w2.weight", "mlp.w2.bias"),
    "ffn.out": ("mlp.fc2.weight", "mlp.fc2.bias", "mlp.w3.weight", "mlp.w3.bias"),
    "ls2": ("ls2.gamma",),
    "norm": ("norm.weight", "norm.bias"),
})  # fmt: skip

#: Taps of the embedding that a tap of a block is computed from, beside those of its block.
ACROSS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(("attn.q", "attn.k"), ("rope.sin", "rope.cos"))
)

#: A LayerScale may be multiplied into the projection before it.
FOLDS = (("attn.out", "ls1"), ("ffn.out", "ls2"))

#: Taken out of the normed tokens by indexing and a mean.
DERIVED = frozenset({"cls", "registers", "patches", "pooled"})
