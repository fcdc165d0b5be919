"""Cells of a bundle that is run, and a file of it with a fault."""

import numpy as np
import onnx
from dinov3_parity.parity.matrix.bundle import Bundle
from dinov3_parity.parity.matrix.cell import (
    cells,
    measured,
)
from onnx.numpy_helper import from_array, to_array


def cell_of(bundle, name, level="all", threads=0):
    return next(
        (cell, model)
        for cell, model in cells(bundle, "1.99.0")
        if (model.name, cell.level, cell.threads) == (name, level, threads)
    )


def ran(folder, name, runner, **which):
    bundle = Bundle(folder)
    return measured(bundle, *cell_of(bundle, name, **which), runner)


def faulty(path, block_weight):
    """Change one projection in a file: each tensor whose size is that of the block's."""
    model = onnx.load(path)
    for tensor in (*model.graph.initializer, *constants(model)):
        value = to_array(tensor)
        if value.shape == block_weight:
            tensor.CopyFrom(from_array(value * np.float32(1.001), tensor.name))
            break
    else:
        raise AssertionError("no such tensor")
    onnx.save(model, path)


def constants(model):
    for function in model.functions:
        for node in function.node:
            yield from (
                a.t for a in node.attribute if node.op_type == "Constant" and a.HasField("t")
            )
