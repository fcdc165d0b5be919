"""What the tests of graphs share: images, a value by its operator, an observer without effect."""

from __future__ import annotations

import numpy as np
from dinov3_parity.fixtures.graphs.base import Graph, Value
from dinov3_parity.fixtures.graphs.observer import Difference, Effect

EQUAL = Effect(*[Difference(True, 0.0)] * 3)


def images(batch: int = 2) -> np.ndarray:
    """(B, 3, 4, 8), float32."""
    return np.random.default_rng(1).normal(size=(batch, 3, 4, 8)).astype("f4")


def one(graph: Graph, *operators: str) -> Value:
    """The one value that an operator of these computes."""
    (value,) = [value for value in graph.values() if value.operator in operators]
    return value


def first(graph: Graph, operator: str) -> Value:
    """The first value that an operator computes."""
    return next(value for value in graph.values() if value.operator == operator)
