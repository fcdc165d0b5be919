"""Exported files as somebody's port: sound ones, and one with a mistake."""

import onnx
from dinov3_parity.fixtures.stages.onnx.vit import FILE


def exported(pipe, form, folder):
    """A file of the stage onnx under a name of its own, ``form`` (static, batch, size)."""
    path = folder / f"{form}.onnx"
    path.symlink_to(pipe.artifact("onnx", form).path / FILE)
    return path


def by_tanh(path, to):
    """A copy whose GELU goes by tanh."""
    model = onnx.load(path)
    nodes = [node for one in model.functions for node in one.node if node.op_type == "Gelu"]
    assert nodes
    for node in nodes:
        del node.attribute[:]
        node.attribute.add().CopyFrom(onnx.helper.make_attribute("approximate", "tanh"))
    onnx.save(model, to)
    return to
