"""How images go into a file: read off its inputs, and found by trying where these do not tell."""

import numpy as np
import onnx
import pytest
from dinov3_parity.fixtures.graphs import onnx_file
from dinov3_parity.fixtures.graphs.entrance import (
    BYTES,
    CENTRED,
    NORMALIZED,
    UNIT,
    Run,
    Trial,
    declared,
    feeder,
    found,
    precision,
)
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import NORMALIZATION
from dinov3_parity.parity.inputs.drawn import PIXELS, Input
from onnx import TensorProto, helper, numpy_helper

from selftests.support.stages.brought import in_a_paragraph

VITS16 = VARIANTS["vits16"]
DRAWN = Input(2, (2, 3), seed=1, content=PIXELS)
MEAN, STD = (np.array(one, np.float32)[:, None, None] for one in NORMALIZATION["lvd1689m"])

#: By what a file's numbers are: what it divides by, then takes away, then divides by.
INSIDE = {
    NORMALIZED: (1, 0, 1),
    UNIT: (1, MEAN, STD),
    BYTES: (255, MEAN, STD),
    CENTRED: (2, MEAN - 0.5, STD),
}


def _file(folder, kind=TensorProto.FLOAT, shape=("B", 3, "H", "W"), inside=NORMALIZED, more=()):
    """A file that returns its images, normalized, float32 (B, 3, H, W)."""
    x = helper.make_tensor_value_info("pixel_values", kind, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Cast", ["pixel_values"], ["a"], to=TensorProto.FLOAT)]
    if len(shape) == 3:
        nodes.append(helper.make_node("Unsqueeze", ["a", "first"], ["b"]))
    last = shape[-1] == 3
    axes = {"perm": [0, 3, 1, 2] if last else [0, 1, 2, 3]}
    nodes.append(helper.make_node("Transpose", ["b" if len(shape) == 3 else "a"], ["c"], **axes))
    for k, operator in enumerate(("Div", "Sub", "Div")):
        nodes.append(helper.make_node(operator, ["cde"[k], f"v{k}"], ["dey"[k]]))
    values = [
        numpy_helper.from_array(np.asarray(v, "f4"), f"v{k}") for k, v in enumerate(INSIDE[inside])
    ]
    values.append(numpy_helper.from_array(np.array([0]), "first"))
    graph = helper.make_graph(nodes, "g", [x, *more], [y], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "in.onnx"
    onnx.save(model, path)
    return path


def _trial(images):
    def error(shown):
        return float(np.abs(shown["y"] - images).max() / np.abs(images).max())

    return Trial(images, error)


@pytest.mark.parametrize("inside", INSIDE)
def test_what_its_numbers_are_is_found_by_trying(tmp_path, inside):
    file, images = _file(tmp_path, inside=inside), DRAWN.images()
    entrance = found(file, VITS16, _trial(images))
    assert entrance.values == inside
    assert ("found by trying: " in entrance.said) == (inside != NORMALIZED)
    (shown,) = Run(file)([entrance.feed(images)])
    assert np.abs(shown["y"] - images).max() < 2e-6


def test_where_nothing_is_near_it_is_said_and_taken_as_normalized(tmp_path):
    entrance = found(_file(tmp_path), VITS16, Trial(DRAWN.images(), lambda shown: 0.7))
    assert entrance.values == NORMALIZED and "by none of four readings" in entrance.said


@pytest.mark.parametrize(
    ("kind", "shape", "inside"),
    [
        (TensorProto.FLOAT, ("B", "H", "W", 3), NORMALIZED),
        (TensorProto.UINT8, ("B", 3, "H", "W"), BYTES),
        (TensorProto.UINT8, ("B", "H", "W", 3), BYTES),
        (TensorProto.FLOAT16, ("B", 3, 32, 48), NORMALIZED),
        (TensorProto.FLOAT, (3, "H", "W"), NORMALIZED),
        (TensorProto.DOUBLE, ("H", "W", 3), NORMALIZED),
    ],
)
def test_layout_type_and_batch_are_read_off(tmp_path, kind, shape, inside):
    file = _file(tmp_path, kind, shape, inside)
    images = DRAWN.images()[: 2 if len(shape) == 4 else 1]
    entrance = declared(file, VITS16)
    (shown,) = Run(file)([feeder(file, VITS16)(images)])
    assert entrance.batch == (0 if len(shape) == 4 else 1)
    assert np.abs(shown["y"] - images).max() < (2e-3 if kind == TensorProto.FLOAT16 else 1e-6)


def test_sides_that_are_no_multiple_of_a_patch_are_filled_up(tmp_path):
    """What is left over is no patch: Meta's kernel leaves it away, too."""
    file = _file(tmp_path, shape=("B", 3, 230, 225))
    entrance, images = declared(file, VITS16), Input(1, (14, 14)).images()
    assert entrance.size == (224, 224)
    (fed,) = entrance.feed(images).values()
    assert fed.shape == (1, 3, 230, 225) and np.array_equal(fed[:, :, :224, :224], images)


@pytest.mark.parametrize(
    ("axes", "shape", "size"),
    [
        (("B", "P"), (2, 6), None),
        (("B", 196), (2, 196), (224, 224)),
        (("B", "rows", "columns"), (2, 2, 3), None),
        ((), (), None),
    ],
)
def test_a_mask_is_given_as_none_masked(tmp_path, axes, shape, size):
    mask = helper.make_tensor_value_info("bool_masked_pos", TensorProto.BOOL, axes)
    entrance = declared(_file(tmp_path, more=[mask]), VITS16)
    fed = entrance.feed(DRAWN.images())["bool_masked_pos"]
    assert (fed.dtype, fed.shape, entrance.size) == (np.dtype(bool), shape, size)
    assert not fed.any() and "bool_masked_pos: none set" in entrance.words


def test_of_several_inputs_the_images_are_those_of_three_channels(tmp_path):
    other = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 1, 4, 4])
    assert declared(_file(tmp_path, more=[other]), VITS16).name == "pixel_values"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"shape": (150528,)}, "none of these is a batch of images"),
        ({"kind": TensorProto.STRING}, "none of these is a batch of images"),
        ({"shape": (1, 3, 1 << 40, 16)}, "up to 64 images"),
        ({"shape": (1 << 40, 3, 224, 224)}, "up to 64 images"),
        ({"shape": (1, 3, -224, 224)}, "up to 64 images"),
        (
            {"more": [helper.make_tensor_value_info("m", TensorProto.BOOL, [1 << 20, 1 << 20])]},
            "beside the images, takes BOOL",
        ),
        (
            {"more": [helper.make_tensor_value_info("t", TensorProto.STRING, [1])]},
            "beside the images, takes STRING",
        ),
    ],
)
def test_what_takes_no_images_is_refused(tmp_path, parts, says):
    with pytest.raises(ParityError, match=says) as told:
        declared(_file(tmp_path, **parts), VITS16)
    in_a_paragraph(told.value)


def test_weights_in_a_folder_below_are_the_files(tmp_path):
    """They are read there, hashed and copied with it."""
    (tmp_path / "weights").mkdir()
    model = onnx.load(_file(tmp_path))
    where = {"location": "weights/model.data", "size_threshold": 0}
    onnx.save(model, tmp_path / "in.onnx", save_as_external_data=True, **where)
    names = [one.name for one in onnx_file.files(tmp_path / "in.onnx")]
    assert names == ["in.onnx", "model.data"]
    (tmp_path / "copy").mkdir()
    copy = onnx_file.copied(tmp_path / "in.onnx", tmp_path / "copy")
    images = DRAWN.images()
    (shown,) = Run(copy)([feeder(copy, VITS16)(images)])
    assert (copy.parent / "weights" / "model.data").is_file()
    assert np.array_equal(shown["y"], images)


def test_in_which_numbers_a_file_computes_is_told(tmp_path):
    file = _file(tmp_path)
    assert precision(file) == ""
    model = onnx.load(file)
    half = numpy_helper.from_array(np.zeros((300, 300), np.float16), "half")
    model.graph.initializer.append(half)
    onnx.save(model, file)
    assert precision(file) == "float16"
    model.graph.node.append(helper.make_node("DequantizeLinear", ["q", "s"], ["f"]))
    onnx.save(model, file)
    assert precision(file) == "quantized"
