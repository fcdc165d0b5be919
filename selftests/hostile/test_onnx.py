"""An ONNX file that reads elsewhere, lies, or runs wild is refused."""

import json
import os
import pickle

import numpy as np
import onnx
import pytest
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.parity.errors import ParityError
from onnx import TensorProto, helper

from selftests.support.hostile.changed import Bomb
from selftests.support.hostile.files import sparse
from selftests.support.hostile.onnx_files import outside, tokens_of
from selftests.support.hostile.room import paragraph, shown


def _model(change=lambda model: None, **parts):
    """A model of the bench's, written as a file after a change."""

    def make(room, file):
        model = tokens_of(**parts)
        change(model)
        file.write_bytes(model.SerializeToString())

    return make


def _external(data=lambda room, beside: beside.write_bytes(bytes(1 << 17)), **told):
    """A model whose weight lies in another file, and what lies there."""
    told.setdefault("location", "in.data")

    def make(room, file):
        data(room, file.parent / "in.data")
        where = {k: v(room) if callable(v) else v for k, v in told.items()}
        model = tokens_of()
        outside(model.graph.initializer[0], **where)
        file.write_bytes(model.SerializeToString())

    return make


def _in_a_node(room, file, graph=None):
    """The secret is the value of a Constant: in the graph, or in a function of it."""
    weight = outside(onnx.numpy_helper.from_array(np.zeros(4, "f4"), "secret"),
                     location="../good/good.pth")  # fmt: skip
    node = helper.make_node("Constant", [], ["w"], value=weight)
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), node,
             helper.make_node("Add", ["s", "w"], ["y"])]  # fmt: skip
    model = tokens_of(nodes=nodes)
    del model.graph.initializer[:]
    if graph == "function":
        opsets = [helper.make_opsetid("", 21)]
        model.functions.add().CopyFrom(
            helper.make_function("here", "VisionTransformer", ["x"], ["y"], nodes, opsets)
        )
        model.opset_import.add(domain="here", version=1)
        del model.graph.node[:]
        model.graph.node.add().CopyFrom(
            helper.make_node("VisionTransformer", ["x"], ["y"], domain="here")
        )
    if graph == "branch":
        branch = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("w", 1, None)])
        nodes[1] = helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch)
        model = tokens_of(
            nodes=nodes, weights=[helper.make_tensor("c", TensorProto.BOOL, [], [True])]
        )
    file.write_bytes(model.SerializeToString())


def _in_another_domain(model):
    model.graph.node[1].domain = "evil.example"
    model.opset_import.add(domain="evil.example", version=1)


def _calling_itself(model):
    node = helper.make_node("VisionTransformer", ["x"], ["y"], domain="here")
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("here", 1)]
    model.functions.add().CopyFrom(
        helper.make_function("here", "VisionTransformer", ["x"], ["y"], [node], opsets)
    )
    model.opset_import.add(domain="here", version=1)
    del model.graph.node[:]
    model.graph.node.add().CopyFrom(node)


def _text_beside(model):
    """A second output, of texts: what only unpickling could bring back."""
    model.graph.initializer.add().CopyFrom(
        helper.make_tensor("t", TensorProto.STRING, [1], [b"<script>"])
    )
    model.graph.node.add().CopyFrom(helper.make_node("Identity", ["t"], ["texts"]))
    model.graph.output.add().CopyFrom(
        helper.make_tensor_value_info("texts", TensorProto.STRING, [1])
    )


def _terabytes(model):
    model.graph.initializer[0].ClearField("raw_data")
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 20, 1 << 20])


def _allocating(model):
    """The graph itself makes a terabyte as it runs."""
    model.graph.initializer.add().CopyFrom(
        helper.make_tensor("n", TensorProto.INT64, [1], [1 << 38])
    )
    model.graph.node[1].input[1] = "made"
    made = helper.make_node("ConstantOfShape", ["n"], ["big"])
    model.graph.node.insert(0, helper.make_node("ReduceSum", ["big"], ["made"], keepdims=0))
    model.graph.node.insert(0, made)


def _cut_data(room, beside):
    beside.write_bytes(bytes(1000))


def _linked_data(room, beside):
    beside.symlink_to(room.good.pth)


def _linked_folder(room, beside):
    (beside.parent / "below").symlink_to(room.good.pth.parent)


def _linked_below(room, beside):
    (beside.parent / "below").mkdir()
    (beside.parent / "below" / "in.data").symlink_to(room.good.pth)


OUT, LIES, RUNS = "Nothing was read from there", "these are not there", "does not run on"
TAKES, NONE = "up to 64 images, float32", "is not an ONNX file"
ONNX = {
    "data at an absolute path": (_external(location="/etc/passwd"), OUT),
    "data at the absolute path of a sound file": (_external(location=lambda r: r.good.pth), OUT),
    "data above": (_external(location="../../hostile/good.pth"), OUT),
    "data down and up": (_external(location="a/../in.data"), OUT),
    "data in a folder below that is not there": (
        _external(location="below/in.data"), "not beside it or below",
    ),
    "data in a folder that is a link": (_external(_linked_folder, location="below/good.pth"), OUT),
    "data behind a link in a folder below": (
        _external(_linked_below, location="below/in.data"), OUT,
    ),
    "data at an absolute path below": (
        _external(location=lambda r: r.inputs / "in.data"), OUT,
    ),
    "data below and above again": (_external(location="below/../../good/good.pth"), OUT),
    "data below by a backslash": (_external(location="below\\in.data"), OUT),
    "data behind a link": (_external(_linked_data), OUT),
    "data at no name": (_external(location=""), OUT),
    "data at a name with a zero in it": (_external(location="in.data\0x"), OUT),
    "data in onnxruntime's own memory": (_external(location="*/_ORT_MEM_ADDR_/*", offset=4096), OUT),
    "data at a name with markup": (_external(location="<b>/x"), "not beside it or below"),
    "data in a Constant": (_in_a_node, OUT),
    "data in a function's Constant": (lambda r, f: _in_a_node(r, f, "function"), OUT),
    "data in a branch's Constant": (lambda r, f: _in_a_node(r, f, "branch"), OUT),
    "no data": (_external(lambda r, p: None), "not beside it"),
    "data that is a pipe": (_external(lambda r, p: os.mkfifo(p)), "not beside it"),
    "data that is a folder": (_external(lambda r, p: p.mkdir()), "not beside it"),
    "data that was cut off": (_external(_cut_data, offset=0, length=197 * 128 * 4), LIES),
    "data from before its begin": (_external(offset=-4096, length=4096), LIES),
    "data of less than nothing": (_external(offset=0, length=-1), LIES),
    "data of terabytes": (_external(offset=0, length=1 << 42), LIES),
    "data from beyond its end": (_external(offset=1 << 42, length=4), LIES),
    "data from no number": (_external(offset="a\nb"), LIES),
    "data that is too short for its tensor": (_external(offset=0, length=8), RUNS),
    "empty": (lambda r, f: f.touch(), "no input at all|" + NONE),
    "a terabyte of nothing": (lambda r, f: sparse(f), NONE),
    "HTML": (lambda r, f: f.write_text("<html>403</html>"), NONE),
    "a pickle with code": (lambda r, f: f.write_bytes(pickle.dumps(Bomb(r.order))), NONE),
    "an empty graph": (_model(lambda m: m.graph.Clear()), "no input at all"),
    "no inputs": (_model(lambda m: m.graph.ClearField("input")), "no input at all"),
    "no outputs": (_model(lambda m: m.graph.ClearField("output")), "no output at all"),
    "no opset": (_model(lambda m: m.ClearField("opset_import")), "which opset"),
    "an opset of the future": (_model(lambda m: setattr(m.opset_import[0], "version", 9999)), RUNS),
    "an input of one side": (_model(images=(150528,)), "none of these is a batch of images"),
    "four channels": (_model(lambda m: None, images=(1, 4, 224, 224)), RUNS),
    "an input of trillions of pixels": (_model(images=(1, 3, 1 << 40, 16)), TAKES),
    "an input of trillions of images": (_model(images=(1 << 40, 3, 224, 224)), TAKES),
    "an input below zero": (_model(images=(1, 3, -224, 224)), TAKES),
    "an input of float64": (_model(kind=TensorProto.DOUBLE), RUNS),
    "an input of texts": (_model(kind=TensorProto.STRING), TAKES),
    "tokens of another grid": (_model(tokens=(1, 50, 128)), "What is held are DINOv3's tokens"),
    "tokens of no shape": (_model(tokens=()), "What is held are DINOv3's tokens"),
    "a weight of terabytes": (_model(_terabytes), RUNS),
    "a terabyte made while it runs": (_model(_allocating), RUNS),
    "an operator that there is none of": (
        _model(lambda m: setattr(m.graph.node[1], "op_type", "Evil")), RUNS,
    ),
    "an operator of a domain of its own": (_model(_in_another_domain), RUNS),
    "a function that calls itself": (_model(_calling_itself), RUNS),
    "a graph that feeds itself": (
        _model(lambda m: m.graph.node[0].input.__setitem__(0, "y")), RUNS,
    ),
    "a second output of texts": (_model(_text_beside), "something else than arrays"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONNX)
def test_an_onnx_file_is_refused(room, case):
    make, says = ONNX[case]
    file = room.inputs / "in.onnx"
    make(room, file)
    room.refused("compare", "--weights", room.good.pth, "--onnx", file, file=file, says=says)


BUNDLED = (
    "data in a folder that is a link", "data above", "data behind a link",
    "data in a function's Constant", "data that was cut off",
    "HTML", "an empty graph", "an input of trillions of images", "a function that calls itself",
    "a second output of texts",
)  # fmt: skip


@pytest.mark.parametrize("case", BUNDLED)
def test_a_bundle_of_it_is_refused_and_none_is_begun(room, case):
    make, says = ONNX[case]
    file = room.inputs / "in.onnx"
    make(room, file)
    words = ["bundle", "--checkpoint", room.good.pth, "--onnx", file, "--out", room.out / "bundle"]
    room.refused(*words, file=file, says=says)


@pytest.mark.parametrize(
    "case", (*BUNDLED, "a weight of terabytes", "a terabyte made while it runs")
)
def test_a_port_that_is_such_a_file_is_refused_before_it_is_one(room, case):
    make, says = ONNX[case]
    file = room.inputs / "in.onnx"
    make(room, file)
    room.look()
    with pytest.raises(ParityError, match=says) as told:
        from_file(str(file))
    paragraph(f"dinov3-parity: {shown(str(told.value))}", file)
    room.unchanged()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_an_onnx_file_that_returns_no_numbers_departs(room, value):
    file = room.inputs / "in.onnx"
    weight = onnx.numpy_helper.from_array(np.full((1, 197, 128), value, "f4"), "w")
    held = [onnx.numpy_helper.from_array(one, name) for name, one in room.good.checkpoint.items()]
    file.write_bytes(tokens_of(weights=[weight, *held]).SerializeToString())
    room.look()
    told = room.told("compare", "--weights", room.good.pth, "--onnx", file, "--json")
    answer = json.loads(told.out)
    assert (told.code, answer["verdict"]) == (1, "departs")
    assert not answer["files"][0]["holds"]
    room.unchanged()


def test_a_function_that_calls_itself_is_not_tapped_forever(room):
    file = room.inputs / "in.onnx"
    ONNX["a function that calls itself"][0](room, file)
    words = ["compare", "--weights", room.good.pth, "--onnx", file, "--block-debug"]
    room.refused(*words, file=file, says=RUNS)
