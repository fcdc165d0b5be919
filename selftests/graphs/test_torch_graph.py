"""A torch model's operators: each value is what it computes, and what is given in its place is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.graphs.torch_graph import TorchGraph
from dinov3_parity.parity.errors import ParityError
from torch import nn

from selftests.graphs.held import EQUAL, first, images, one


class Tricky(nn.Module):
    """Splits, writes in place, keeps a table of its first call, computes without autocast."""

    def __init__(self, branches: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm = nn.Linear(3, 6), nn.LayerNorm(6)
        self.register_buffer("seen", torch.zeros(()))
        self.table, self.branches = None, branches

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(6) * 0.5
        x = x.mean((2, 3))
        if self.branches and x.sum() > 1e9:
            return {"a": x}
        with torch.autocast("cpu", enabled=False):
            y = self.norm(self.linear(x)) + self.table
        before = y * 2
        y.add_(1)
        y[:, 0] += 10
        a, b = y.split([2, 4], -1)
        q, k = b.chunk(2, -1)
        left, right = torch.stack([q, k]).unbind(0)
        made = [before + y, (left * right, None)]
        return {"y": y, "made": made, "a": a + torch.tensor([1.0, 2.0])}


@pytest.fixture(params=[False, True], ids=["exported", "recorded"])
def graph(request):
    graph = TorchGraph(Tricky(request.param).eval())
    graph.run(images(), [])
    assert graph.how.startswith("recorded as it ran: Guard" if request.param else "torch.export")
    return graph


def test_outputs_are_the_calls_and_looking_changes_none(graph):
    assert list(graph.returned) == ["y", "made[0]", "made[1][0]", "a"]
    assert all(effect == EQUAL for effect in graph.effect(images()))


def test_every_value_comes_with_those_it_is_computed_from_before_it(graph):
    values = graph.values()
    names = [value.name for value in values]
    assert len(set(names)) == len(names) and set(graph.parameters()) < set(names)
    for i, value in enumerate(values):
        assert set(value.inputs) <= set(names[:i])
    assert set(graph.run(images(), names)) == set(names)


def test_values_have_operator_module_and_line(graph):
    product = one(graph, "aten.linear.default", "aten.addmm.default")
    assert product.module == "linear"
    file, line = product.source.split(":")
    text = Path(__file__).read_text().splitlines()[int(line) - 1]
    assert file.endswith("test_torch_graph.py") and "self.linear(x)" in text


def test_each_part_of_a_split_is_a_value(graph):
    parts = [value for value in graph.values() if "split_with_sizes" in value.operator]
    assert [graph.run(images(), [p.name])[p.name].shape for p in parts[:2]] == [(2, 2), (2, 4)]
    assert len({part.node for part in parts[:2]}) == 1 and parts[0].inputs == parts[1].inputs
    instead = {parts[0].name: np.zeros((2, 2), "f4")}
    shown = graph.run(images(), graph.outputs(), instead)
    assert np.array_equal(shown[graph.returned["a"]], [[1, 2], [1, 2]])


def test_what_is_overwritten_later_is_shown_as_it_was(graph):
    summed = first(graph, "aten.add.Tensor")
    written = first(graph, "aten.add_.Tensor")
    twice = next(value for value in graph.values() if summed.name in value.inputs)
    shown = graph.run(images(), [summed.name, written.name, twice.name])
    assert np.array_equal(shown[written.name], shown[summed.name] + 1)
    assert np.array_equal(shown[twice.name], shown[summed.name] * 2)


def test_what_is_given_is_consumed_everywhere_and_the_graphs_own_is_shown(graph):
    summed = first(graph, "aten.add.Tensor").name
    own = graph.run(images(), [summed])[summed]
    zeros = np.zeros((2, 6), "f4")
    shown = graph.run(images(), [summed, *graph.outputs()], {summed: zeros})
    assert np.array_equal(shown[summed], own) and not zeros.any()
    y = np.array([[11, 1, 1, 1, 1, 1]] * 2, "f4")
    assert np.array_equal(shown[graph.returned["y"]], y)
    assert np.array_equal(shown[graph.returned["made[0]"]], y)  # twice nothing, and y


def test_what_an_in_place_operator_is_given_all_who_share_the_memory_see(graph):
    written = first(graph, "aten.add_.Tensor").name
    ones, ten = np.ones((2, 6), "f4"), np.eye(6)[0] * 10
    shown = graph.run(images(), graph.outputs(), {written: ones})
    assert np.array_equal(shown[graph.returned["y"]], ones + ten)
    assert np.array_equal(ones, np.ones((2, 6)))


def test_parameters_have_their_names_and_bits_and_can_be_given(graph):
    parameters = graph.parameters()
    own = graph._module
    assert {"linear.weight", "linear.bias", "norm.weight", "norm.bias", "seen"} < set(parameters)
    assert np.array_equal(parameters["linear.weight"], own.linear.weight.detach().numpy())
    product = one(graph, "aten.linear.default", "aten.addmm.default").name
    given = {"linear.weight": np.zeros((6, 3), "f4"), "linear.bias": np.arange(6.0)}
    shown = graph.run(images(), [product, "linear.bias"], given)
    assert np.array_equal(shown[product], [np.arange(6)] * 2)
    assert np.array_equal(shown["linear.bias"], parameters["linear.bias"])
    assert np.array_equal(graph.parameters()["linear.weight"], parameters["linear.weight"])


def test_a_view_of_what_is_given_is_a_view_of_it():
    graph = TorchGraph(lambda x: (x + 1)[:, 0])
    graph.run(images(), [])
    total = one(graph, "aten.add.Tensor").name
    instead = np.arange(images().size, dtype="f4").reshape(images().shape)
    shown = graph.run(images(), graph.outputs(), {total: instead})
    assert graph.returned.keys() == {""}
    assert np.array_equal(shown[graph.returned[""]], instead[:, 0])


def test_a_run_leaves_what_a_program_writes_of_its_module():
    class Counts(Tricky):
        def forward(self, x):
            self.seen.add_(1)
            return x.mean() + self.seen

    module = Counts()
    graph = TorchGraph(module)
    graph.run(images(), [])
    (one,), (two,) = (graph.run(images(), graph.outputs()).values() for _ in "12")
    assert graph.how == "torch.export" and one == two and module.seen == 0


def test_the_returned_may_be_a_dataclass_and_the_call_a_method():
    @dataclass
    class Tokens:
        cls: torch.Tensor
        rest: tuple
        note: str = "none"

    class Model(nn.Linear):
        def tokens(self, x):
            return Tokens(self(x.mean((2, 3))), (x, 3))

    graph = TorchGraph(Model(3, 4).tokens)
    graph.run(images(), [])
    assert list(graph.returned) == ["cls", "rest[0]"] and graph.returned["rest[0]"] == "images"
    assert set(graph.parameters()) == {"weight", "bias"}


@pytest.mark.parametrize("branches", [False, True], ids=["exported", "recorded"])
def test_names_are_unlike_each_other_and_of_tied_ones_one_is_consumed(branches):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.add = nn.Parameter(torch.ones(8))  # as the exporter calls an operator
            self.again = self.add

        def forward(self, x):
            if branches and x.sum() > 1e9:
                return x
            return x + self.add + self.again

    graph = TorchGraph(Tied())
    assert graph.effect(images()) == [EQUAL]
    names = [value.name for value in graph.values()]
    assert len(set(names)) == len(names) and {"add", "again"} == set(graph.parameters())
    zeros = dict.fromkeys(("add", "again"), np.zeros(8, "f4"))
    (out,) = graph.run(images(), graph.outputs(), zeros).values()
    assert np.array_equal(out, images())


def test_what_a_context_holds_is_shown_split_or_not():
    def call(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = x.flatten(2).split(16, -1)
            y = parts[0] @ parts[1].mT
        return y, parts[1]

    graph = TorchGraph(call)
    assert graph.effect(images()) == [EQUAL] * 2 and graph.how == "torch.export"
    product = one(graph, "aten.matmul.default").name
    shown = graph.run(images(), [product], {product: np.zeros((2, 3, 3), "f4")})
    # bfloat16 is shown in float32: no bits are below its own.
    assert shown[product].dtype == np.float32 and not (shown[product].view("u4") & 0xFFFF).any()


def test_an_export_that_fails_prints_nothing(capsys):
    graph = TorchGraph(Tricky(branches=True))
    graph.run(images(), [])
    assert graph.how.startswith("recorded") and capsys.readouterr() == ("", "")


def test_shapes_have_programs_of_their_own(graph):
    few = graph.run(images(1), graph.outputs())
    again = graph.run(images(1), graph.outputs())
    assert all(np.array_equal(few[name], again[name]) for name in few)
    assert next(iter(graph.run(images(3), graph.outputs()).values())).shape[0] == 3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            lambda g: g.run(images().astype("f8"), []),
            r"float32, and was given float64 \(2, 3, 4, 8\)",
        ),
        (lambda g: g.run(images()[0], []), r"images \(B, 3, H, W\)"),
        (lambda g: g.run(images(), ["linaer"]), "no value 'linaer'"),
        (lambda g: g.run(images(), [], {"nothing": np.zeros(1)}), "no value 'nothing'"),
        (lambda g: g.run(images(), [], {"linear.bias": np.zeros(1, "f4")}), r"floats, \(6,\)"),
        (lambda g: g.run(images(), [], {"linear.bias": np.zeros(6, int)}), "given int64"),
        (lambda g: TorchGraph(nn.Linear(5, 2)).run(images(), []), r"does not run on images \(2"),
        (lambda g: TorchGraph(lambda x: None).run(images(), []), "returns no tensor"),
        (lambda g: TorchGraph(nn.Identity()).values(), "none were run yet"),
    ],
)
def test_what_cannot_be_is_refused_in_words(graph, asked, words):
    with pytest.raises(ParityError, match=words):
        asked(graph)


def test_transformers_model_shows_all_its_operators():
    transformers = pytest.importorskip(
        "transformers", reason="pip install dinov3-parity[transformers]"
    )
    config = transformers.DINOv3ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        num_register_tokens=2, patch_size=2,
    )  # fmt: skip
    model = transformers.DINOv3ViTModel(config).eval()
    graph = TorchGraph(model)
    assert all(effect == EQUAL for effect in graph.effect(images()))
    assert graph.how == "torch.export"
    assert list(graph.returned) == ["last_hidden_state", "pooler_output"]
    assert set(model.state_dict()) <= set(graph.parameters())
    up = [value for value in graph.values() if value.module == "model.layer.1.mlp.up_proj"]
    assert [value.operator for value in up] == ["aten.linear.default"]
    assert up[0].source.startswith("transformers/models/dinov3_vit/modeling_dinov3_vit.py:")


def test_no_more_runs_than_lies_between_what_is_given_and_what_is_wanted():
    called = []

    class Counted(nn.Linear):
        def forward(self, x):
            y = super().forward(x.mean((2, 3)))
            return torch.relu(y) * 2

    graph = TorchGraph(Counted(3, 4))
    graph.run(images(), [])
    y, relu = one(graph, "aten.linear.default").name, one(graph, "aten.relu.default").name
    program = next(iter(graph._programs.values()))
    program._graph.graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default)[
        0
    ].target = lambda *args: called.append(args) or torch.ops.aten.linear.default(*args)
    given = {y: np.full((2, 4), -1, "f4")}
    assert not graph.run(images(), [relu], given)[relu].any() and not called
    assert set(graph.run(images(), [relu, y], given)) == {relu, y} and len(called) == 1
