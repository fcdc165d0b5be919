"""An ONNX file as a graph: values read, values given, functions and branches gone into."""

import numpy as np
import onnx
import onnxruntime
import pytest
from dinov3_parity.fixtures.graphs.onnx_graph import OnnxGraph
from dinov3_parity.parity.errors import ParityError
from onnx import helper, parser

TEXT = """
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
agraph (float[B, 3, H, W] images) => (float[B, 3, H, W] out)
<float[1] two = {2}, float[1] one = {1}>
{
  doubled = Mul(images, two)
  raised = own.Raise(doubled, one)
  kept = Identity(raised)
  out = Add(kept, doubled)
}
<opset_import: ["" : 17], domain: "own">
Raise (x, by) => (y) { sum = Add(x, by)  y = Relu(sum) }
"""


@pytest.fixture
def file(tmp_path):
    onnx.save(parser.parse_model(TEXT), path := tmp_path / "own.onnx")
    return path


@pytest.fixture
def graph(file):
    return OnnxGraph(file, lambda images: {"images": images})


IMAGES = np.arange(24, dtype=np.float32).reshape(1, 3, 2, 4)


def named(graph, operator):
    return next(value.name for value in graph.values() if value.operator == operator)


def test_a_call_of_a_local_function_is_its_operators(graph):
    assert {value.operator for value in graph.values()} == {"", "Mul", "Add", "Relu", "Identity"}


def test_every_value_stands_after_what_it_is_computed_from(graph):
    seen = set()
    for value in graph.values():
        assert set(value.inputs) <= seen
        seen.add(value.name)


def test_a_value_that_numpy_has_no_type_for_is_left_out(tmp_path):
    text = """
    <ir_version: 9, opset_import: ["" : 19]>
    agraph (float[B, 3, H, W] images) => (float[B, 3, H, W] out)
    { half = Cast<to = 16>(images)  moved = Identity(half)  back = Cast<to = 1>(moved)
      out = Add(back, images) }
    """
    onnx.save(parser.parse_model(text), path := tmp_path / "half.onnx")
    graph = OnnxGraph(path, lambda images: {"images": images})
    shown = graph.run(IMAGES, ["half", "moved", "back", "out"])
    assert list(shown) == ["back", "out"] and np.array_equal(shown["out"], 2 * IMAGES)


def test_what_is_wanted_is_shown_and_the_outputs_are_the_file_s_own(graph):
    shown = graph.run(IMAGES, ["doubled", *graph.outputs()])
    assert np.array_equal(shown["doubled"], 2 * IMAGES)
    assert np.array_equal(shown["out"], 4 * IMAGES + 1)


def test_a_given_value_is_what_everyone_reads_and_the_graph_s_own_is_what_is_shown(graph):
    shown = graph.run(IMAGES, ["doubled", "out"], {"doubled": np.zeros_like(IMAGES)})
    assert np.array_equal(shown["doubled"], 2 * IMAGES)
    assert np.array_equal(shown["out"], np.ones_like(IMAGES))


def test_a_stored_array_can_be_given(graph):
    assert graph.parameters()["two"] == 2
    shown = graph.run(IMAGES, ["out"], {"two": np.float32([3])})
    assert np.array_equal(shown["out"], 6 * IMAGES + 1)


def test_several_inputs_run_in_one_session(graph):
    shown = graph.runs([(IMAGES, {}), (IMAGES[:, :, :1], {})], ["out"])
    assert [one["out"].shape for one in shown] == [(1, 3, 2, 4), (1, 3, 1, 4)]


def test_what_a_branch_reads_of_the_graph_around_it_can_be_given(tmp_path):
    inside = helper.make_graph(
        [helper.make_node("Add", ["images", "doubled"], ["sum"])], "then", [],
        [helper.make_tensor_value_info("sum", 1, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["same"])], "else", [],
        [helper.make_tensor_value_info("same", 1, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Add", ["images", "images"], ["doubled"]),
        helper.make_node("If", ["yes"], ["out"], then_branch=inside, else_branch=other),
    ]
    value = helper.make_tensor_value_info("images", 1, ["B", 3, "H", "W"])
    made = helper.make_graph(
        nodes, "g", [value], [helper.make_tensor_value_info("out", 1, None)],
        [helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])],
    )  # fmt: skip
    model = helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path := tmp_path / "branches.onnx")
    graph = OnnxGraph(path, lambda images: {"images": images})
    assert np.array_equal(graph.run(IMAGES, ["out"])["out"], 3 * IMAGES)
    given = {"doubled": np.zeros_like(IMAGES)}
    assert np.array_equal(graph.run(IMAGES, ["out"], given)["out"], IMAGES)


SKIP = """
<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
agraph (float[B, N, 4] images) => (float[B, N, 4] out)
<float[4] scale = {1, 2, 3, 4}, float[4] shift = {1, 0, 1, 0}, float[4] bias = {4, 3, 2, 1}>
{
  doubled = Mul(images, scale)
  OUTPUTS = com.microsoft.SkipLayerNormalization<epsilon: float = 0.01> (
    images, doubled, scale, shift, bias
  )
  LAST
}
"""
#: The sum is no value of the file, and it is one that is read again.
SKIPS = {
    "out/sum": SKIP.replace("OUTPUTS", "out").replace("LAST", ""),
    "sum": SKIP.replace("OUTPUTS", "norm, , , sum").replace("LAST", "out = Add(norm, sum)"),
}


@pytest.mark.parametrize("total", SKIPS)
def test_a_sum_normalized_in_the_operator_that_adds_it_is_a_value_that_is_read(tmp_path, total):
    onnx.save(parser.parse_model(SKIPS[total]), path := tmp_path / "skip.onnx")
    tokens = np.random.default_rng(0).standard_normal((2, 3, 4), np.float32)
    graph = OnnxGraph(path, lambda images: {"images": images})
    whole = ran(path, tokens)
    shown = graph.run(tokens, [total, "out"])
    doubled = tokens * np.float32([1, 2, 3, 4])
    assert np.array_equal(shown[total], tokens + doubled + np.float32([4, 3, 2, 1]))
    assert np.array_equal(shown["out"], whole)
    again = graph.run(np.zeros_like(tokens), ["out"], {total: shown[total]})
    assert np.array_equal(again["out"], whole)


def ran(path, tokens):
    """What onnxruntime returns of the file as it is."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": tokens})[0]


def test_a_function_that_calls_itself_is_refused(tmp_path):
    text = TEXT.replace("y = Relu(sum)", "y = own.Raise(sum, by)")
    onnx.save(parser.parse_model(text), path := tmp_path / "endless.onnx")
    with pytest.raises(ParityError, match="cannot be looked into"):
        OnnxGraph(path, lambda images: {"images": images})


def test_a_file_that_does_not_run_is_told_as_the_port_s_failure(graph):
    with pytest.raises(ParityError, match="does not run"):
        graph.run(IMAGES, ["out"], {"two": np.zeros(7, np.float32)})


def test_a_session_stays_open_and_answers_the_same(graph):
    first, again = (graph.run(IMAGES, ["out"])["out"] for _ in range(2))
    assert np.array_equal(first, again)
