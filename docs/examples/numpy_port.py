"""A port of DINOv3 to plain NumPy, as an example of a stage: docs/ports.md takes it apart.

pytest -k "vits16 and numpy" --stage docs/examples/numpy_port.py:NumPyPort
"""

import numpy as np
from scipy.special import erf


class NumPyPort:
    """Variants with a GELU MLP and a bias of q, k and v: vits16, vitb16, vitl16."""

    name = "numpy"

    def __init__(self, variant, checkpoint):
        self.variant, self.checkpoint = variant, checkpoint

    def describe(self):
        return {"runtime": f"NumPy {np.__version__}"}

    def embed(self, images):
        """Images (B, 3, H, W) float32 to the tokens (B, N, D) that the first block is given."""
        get, size = self.checkpoint, self.variant.patch
        batch, channels, height, width = images.shape
        rows, columns = height // size, width // size
        cut = images.reshape(batch, channels, rows, size, columns, size)
        cut = cut.transpose(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)
        kernel = get["patch_embed.proj.weight"].reshape(self.variant.dim, -1)
        patches = cut @ kernel.T + get["patch_embed.proj.bias"]
        prefix = np.concatenate([get["cls_token"], get["storage_tokens"]], axis=1)
        prefix = np.broadcast_to(prefix, (batch, *prefix.shape[1:]))
        sin, cos = self._rope((rows, columns))
        tokens = np.concatenate([prefix, patches], axis=1)
        return {"patch_embed": patches, "tokens": tokens, "rope.sin": sin, "rope.cos": cos}

    def block(self, i, tokens, grid):
        """Every tap of block i, for tokens (B, N, D) on a grid of (rows, columns) patches."""
        get = _Part(self.checkpoint, f"blocks.{i}.")
        shown = {"input": tokens, "norm1": self._norm(tokens, get, "norm1")}
        bias = get["attn.qkv.bias"] * get["attn.qkv.bias_mask"]
        projected = shown["norm1"] @ get["attn.qkv.weight"].T + bias
        q, k, v = np.split(projected, 3, axis=-1)
        shown |= {"attn.q_proj": q, "attn.k_proj": k, "attn.v_proj": v}
        rope = self._rope(grid)
        q, k = (self._rotated(self._heads(x), rope) for x in (q, k))
        logits = q @ k.swapaxes(-1, -2) * np.float32(self.variant.head_dim**-0.5)
        probs = np.exp(logits - logits.max(-1, keepdims=True))
        probs /= probs.sum(-1, keepdims=True)
        context = (probs @ self._heads(v)).swapaxes(1, 2).reshape(tokens.shape)
        out = context @ get["attn.proj.weight"].T + get["attn.proj.bias"]
        ls1 = out * get["ls1.gamma"]
        shown |= {"attn.q": q, "attn.k": k, "attn.logits": logits, "attn.probs": probs}
        shown |= {"attn.context": context, "attn.out": out, "ls1": ls1, "residual1": tokens + ls1}
        normed = self._norm(shown["residual1"], get, "norm2")
        up = normed @ get["mlp.fc1.weight"].T + get["mlp.fc1.bias"]
        hidden = up * (1 + erf(up * np.float32(2**-0.5))) / 2
        out = hidden @ get["mlp.fc2.weight"].T + get["mlp.fc2.bias"]
        ls2 = out * get["ls2.gamma"]
        shown |= {"norm2": normed, "ffn.up": up, "ffn.hidden": hidden, "ffn.out": out, "ls2": ls2}
        return shown | {"output": shown["residual1"] + ls2}

    def head(self, tokens):
        """The final norm of tokens (B, N, D), split: the class token, the registers, the patches."""
        normed, prefix = self._norm(tokens, self.checkpoint, "norm"), self.variant.prefix
        patches = normed[:, prefix:]
        shown = {"norm": normed, "cls": normed[:, 0], "registers": normed[:, 1:prefix]}
        pooled = patches.mean(1, dtype=np.float64).astype(np.float32)
        return shown | {"patches": patches, "pooled": pooled}

    def features(self, images):
        """What the whole model returns of images, on its own output from block to block."""
        grid = tuple(side // self.variant.patch for side in images.shape[2:])
        tokens = self.embed(images)["tokens"]
        for i in range(self.variant.depth):
            tokens = self.block(i, tokens, grid)["output"]
        return self.head(tokens)

    def _rope(self, grid):
        """Sine and cosine (P, d) of the patches' angles, by the checkpoint's own periods."""
        periods = self.checkpoint["rope_embed.periods"]
        rows, columns = (2 * (np.arange(n, dtype=np.float32) + 0.5) / n - 1 for n in grid)
        coords = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2, 1)
        angles = np.float32(2 * np.pi) * coords.astype(np.float32) / periods
        angles = np.tile(angles.reshape(len(coords), -1), 2)
        return np.sin(angles), np.cos(angles)

    def _rotated(self, x, rope):
        """x (B, h, N, d) with its patches turned; class token and registers have no place."""
        sin, cos = rope
        prefix, patches = np.split(x, [self.variant.prefix], axis=2)
        first, second = np.split(patches, 2, axis=-1)
        turned = patches * cos + np.concatenate([-second, first], axis=-1) * sin
        return np.concatenate([prefix, turned], axis=2)

    def _heads(self, x):
        return x.reshape(*x.shape[:2], self.variant.heads, -1).swapaxes(1, 2)

    def _norm(self, x, get, name):
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        normed = centred / np.sqrt(variance + np.float32(self.variant.eps))
        return normed * get[f"{name}.weight"] + get[f"{name}.bias"]


class _Part:
    """A checkpoint below a prefix of its names."""

    def __init__(self, checkpoint, prefix):
        self._checkpoint, self._prefix = checkpoint, prefix

    def __getitem__(self, name):
        return self._checkpoint[self._prefix + name]
