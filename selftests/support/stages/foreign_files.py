"""Foreign ONNX files: transformers' model as torch's exporter writes it, and what people make of it.

One export, then nodes before its images or behind its tokens: of each kind a file costs no second one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from dinov3_parity.parity.families.base import NORMALIZATION
from onnx import TensorProto, helper, numpy_helper

from selftests.support.stages import hugging_face

TOKENS, IMAGES = "tokens", "pixel_values"


class _Tokens(torch.nn.Module):
    """Every token after the final norm; with the rope tables of one size where these are ``baked`` in."""

    def __init__(self, model, baked=None):
        super().__init__()
        self.m, self.baked = model, baked

    def forward(self, pixel_values):
        if self.baked is None:
            return self.m(pixel_values).last_hidden_state
        hidden = self.m.model(self.m.embeddings(pixel_values), position_embeddings=self.baked)
        return self.m.norm(hidden.last_hidden_state)


def exported(checkpoint, path: Path, baked: bool = False) -> Path:
    """The model of a checkpoint with its own rope periods, batch and sizes symbolic."""
    model = hugging_face.model(checkpoint.variant)
    model.load_state_dict(hugging_face.state(checkpoint), strict=False)
    for one in model.modules():
        if hasattr(one, "inv_freq"):
            one.inv_freq.copy_(1 / torch.from_numpy(np.array(checkpoint["rope_embed.periods"])))
    example = torch.zeros(1, 3, 224, 224)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tables = model.rope_embeddings(example) if baked else None
        torch.onnx.export(
            _Tokens(model, tables).eval(), (example,), str(path), dynamo=False, opset_version=17,
            input_names=[IMAGES], output_names=[TOKENS],
            dynamic_axes={IMAGES: {0: "batch", 2: "height", 3: "width"}},
        )  # fmt: skip
    return path


class Surgery:
    """A model that nodes are added to; what it returns is chosen anew."""

    def __init__(self, path: Path):
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self._count = 0

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        """A node behind the others; the name of what it returns."""
        self._count += 1
        name = f"made{self._count}"
        self.graph.node.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def value(self, array) -> str:
        self._count += 1
        name = f"value{self._count}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def cut(self, name: str, start: int, stop: int, axis: int = 1) -> str:
        return self.op("Slice", name, self.value([start]), self.value([stop]), self.value([axis]))

    def mean(self, name: str) -> str:
        return self.op("ReduceMean", name, axes=[1], keepdims=0)

    def fed(self, kind: int, shape: tuple, *nodes: tuple) -> None:
        """Take other images, and make of them by these nodes what was taken before."""
        for node in self.graph.node:
            node.input[:] = ["as before" if one == IMAGES else one for one in node.input]
        before, made = IMAGES, []
        for k, (operator, attributes, *more) in enumerate(nodes):
            after = "as before" if k == len(nodes) - 1 else f"fed{k}"
            made.append(helper.make_node(operator, [before, *more], [after], **attributes))
            before = after
        for node in reversed(made):
            self.graph.node.insert(0, node)
        del self.graph.input[:]
        self.graph.input.append(helper.make_tensor_value_info(IMAGES, kind, shape))

    def returning(self, path: Path, **outputs: str) -> Path:
        """The file of it, with these outputs; each of any shape."""
        del self.graph.output[:]
        for name, value in outputs.items():
            self.graph.node.append(helper.make_node("Identity", [value], [name]))
            info = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            self.graph.output.append(info)
        onnx.save(self.model, path)
        return path


def _norms(s: Surgery) -> list[str]:
    """What each LayerNorm is given."""
    return [node.input[0] for node in s.graph.node if node.op_type == "LayerNormalization"]


def _joined(s):
    return {"y": s.op("Concat", s.op("Squeeze", s.cut(TOKENS, 0, 1), s.value([1])),
                      s.mean(s.cut(TOKENS, 5, 9999)), axis=1)}  # fmt: skip


def _map(s):
    sides = [s.op("Div", s.cut(s.op("Shape", IMAGES), k, k + 1, 0), s.value([16])) for k in (2, 3)]
    shape = s.op("Concat", s.value([0]), s.value([384]), *sides, axis=0)
    turned = s.op("Transpose", s.cut(TOKENS, 5, 9999), perm=[0, 2, 1])
    return {"y": s.op("Reshape", turned, shape)}


def _columns(s):
    sides = [s.op("Div", s.cut(s.op("Shape", IMAGES), k, k + 1, 0), s.value([16])) for k in (2, 3)]
    there = s.op("Concat", s.value([0]), *sides, s.value([384]), axis=0)
    grid = s.op("Transpose", s.op("Reshape", s.cut(TOKENS, 5, 9999), there), perm=[0, 2, 1, 3])
    flat = s.op("Reshape", grid, s.value([0, -1, 384]))
    cls = s.op("Squeeze", s.cut(TOKENS, 0, 1), s.value([1]))
    return {"cls": cls, "y": s.op("Concat", s.cut(TOKENS, 0, 5), flat, axis=1)}


def _normalizes(s, shape=("batch", 3, "height", "width"), kind=TensorProto.FLOAT, before=()):
    mean, std = (s.value(np.array(v, "f4")[:, None, None]) for v in NORMALIZATION["lvd1689m"])
    by = s.value(np.float32(255))
    s.fed(kind, shape, *before, ("Div", {}, by), ("Sub", {}, mean), ("Div", {}, std))
    return {"y": TOKENS}


def _bytes_last(s):
    cast = ("Cast", {"to": TensorProto.FLOAT}), ("Transpose", {"perm": [0, 3, 1, 2]})
    return _normalizes(s, ("batch", "height", "width", 3), TensorProto.UINT8, cast)


def _leak(s):
    own = s.op("Sub", TOKENS, s.cut(TOKENS, 0, 1, 0))
    return {"y": s.op("Add", TOKENS, s.op("Mul", own, s.value(np.float32(1e-3))))}


def _unit(s):
    cls = s.op("Squeeze", s.cut(TOKENS, 0, 1), s.value([1]))
    return {"y": s.op("Div", cls, s.op("ReduceL2", cls, axes=[1], keepdims=1))}


#: By name: what is added, how each output is read, and whether the file holds.
KINDS: dict[str, tuple[Callable[[Surgery], dict[str, str]], tuple[str, ...], bool]] = {
    "bad_pool": (
        lambda s: {"y": TOKENS, "pooled": s.mean(s.cut(TOKENS, 1, 9999))},
        ("every token", "mean over registers and patches, in the place of pooled patches"), False,
    ),
    "mean_patches": (lambda s: {"y": s.mean(s.cut(TOKENS, 5, 9999))}, ("pooled patches",), True),
    "prenorm": (
        lambda s: {"y": _norms(s)[-1]},
        ("every token of the output of block 11 before the final norm",), True,
    ),
    "normalizes": (_normalizes, ("every token",), True),
    "patches": (lambda s: {"y": s.cut(TOKENS, 5, 9999)}, ("patches",), True),
    "cls_patches": (
        lambda s: {"y": s.op("Concat", s.cut(TOKENS, 0, 1), s.cut(TOKENS, 5, 9999), axis=1)},
        ("cls and patches",), True,
    ),
    "map": (_map, ("patches as a map",), True),
    "columns": (
        _columns,
        ("cls", "every token, patches in column order, in the place of every token"), False,
    ),
    "leak": (_leak, ("every token",), False),
    "joined": (_joined, ("cls", "pooled patches"), True),
    "unit": (_unit, ("cls, L2-normalised",), True),
    "mean": (lambda s: {"y": s.mean(TOKENS)}, ("mean of all tokens",), True),
    "bytes_last": (_bytes_last, ("every token",), True),
    "layers": (
        lambda s: {f"y{k}": _norms(s)[2 * k] for k in (3, 6, 9, 12)},
        (
            "every token of the output of block 2", "every token of the output of block 5",
            "every token of the output of block 8",
            "every token of the output of block 11 before the final norm",
        ), True,
    ),
}  # fmt: skip
