"""ONNX files made to do harm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper

from selftests.support.hostile.room import SMALL


def tokens_of(
    *,
    images: tuple = (1, 3, 224, 224),
    tokens: tuple = (1, 197, SMALL.dim),
    kind: int = TensorProto.FLOAT,
    nodes: Iterable = (),
    weights: Iterable = (),
    more: tuple = (),
) -> onnx.ModelProto:
    """A model that returns tokens of its images: their sum, added to a weight ``w``."""
    x = helper.make_tensor_value_info("x", kind, images)
    y = helper.make_tensor_value_info("y", kind, tokens)
    nodes = list(nodes) or [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "w"], ["y"]),
    ]
    weights = list(weights) or [onnx.numpy_helper.from_array(_ramp(tokens), "w")]
    graph = helper.make_graph(nodes, "hostile", [x, *more], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _ramp(shape: tuple) -> np.ndarray:
    sides = [side if isinstance(side, int) and 0 < side < 1000 else 1 for side in shape]
    return np.linspace(-1, 1, int(np.prod(sides)), dtype=np.float32).reshape(sides)


def outside(tensor: TensorProto, **told: object) -> TensorProto:
    """A tensor whose numbers lie in another file, as these entries say."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in told.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
