"""Stages stand in the order of their tree, whatever it is and however their records lie."""

import random

import pytest
from dinov3_parity.parity.records import divergence, stages
from dinov3_parity.parity.records.header import filled
from dinov3_parity.reports.verdicts import DEPARTS, HOLDS, REPEATS, verdict
from msgspec.structs import replace

from selftests.records.test_divergence import taken

#: Two ports of one model, and what is exported of each.
FORK = {"torch": "", "left": "torch", "right": "torch", "left onnx": "left", "right onnx": "right"}
PIPELINE = [{"name": name, "parent": parent} for name, parent in FORK.items()]


def of(stage, ratio=0.9, tap="norm1"):
    return replace(taken(tap, ratio), stage=stage, parent=FORK[stage])


def edges(found, pipeline=()):
    header, _ = filled({"pipeline": list(pipeline)})
    return {edge.stage: edge for edge in verdict(header, found, ()).edges}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kept", [FORK, ["right onnx", "left"]])
def test_the_pipeline_of_a_run_orders_its_stages_however_records_lie(seed, kept):
    found = [of(stage) for stage in FORK if stage in kept]
    random.Random(seed).shuffle(found)
    order = stages.ordered(stages.parents(found), PIPELINE)
    assert order == [stage for stage in FORK if stage in kept]
    assert list(edges(found, PIPELINE)) == order


def test_without_a_pipeline_the_records_tell_the_tree():
    found = [of(stage) for stage in ("right onnx", "right", "left onnx", "torch", "left")]
    told = list(edges(found))
    assert told == ["torch", "right", "left", "right onnx", "left onnx"]


def test_a_stage_that_the_pipeline_does_not_name_comes_after_it():
    port = replace(of("left"), stage="port")
    below = replace(port, stage="port onnx", parent="port")
    told = list(edges([below, port, of("left onnx"), of("torch")], PIPELINE))
    assert told == ["torch", "left onnx", "port", "port onnx"]


def test_the_last_of_the_pipeline_comes_before_what_it_does_not_name():
    port = replace(of("left"), stage="port", parent="")
    assert list(edges([port, of("right onnx"), of("torch")], PIPELINE)) == [
        "torch", "right onnx", "port",
    ]  # fmt: skip


def test_stages_that_derive_from_each_other_are_in_some_order():
    assert sorted(stages.ordered({"a": "b", "b": "a", "c": "c"})) == ["a", "b", "c"]


def test_an_edge_is_named_by_the_parent_in_its_records():
    told = edges([of(stage) for stage in FORK], PIPELINE)
    assert {stage: edge.parent for stage, edge in told.items()} == FORK | {"torch": "the reference"}
    assert {edge.verdict for edge in told.values()} == {HOLDS}
    assert told["right onnx"].sentence.startswith("right onnx holds against right: ")


def test_on_a_fork_a_stage_repeats_its_own_parent_and_not_its_sister():
    found = [of("torch"), of("left", 70.0), of("right"), of("left onnx", 70.2)]
    told = edges([*found, of("right onnx", 70.1)], PIPELINE)
    verdicts = {stage: edge.verdict for stage, edge in told.items()}
    assert verdicts == {
        "torch": HOLDS,
        "left": DEPARTS,
        "right": HOLDS,
        "left onnx": REPEATS,
        "right onnx": DEPARTS,
    }
    assert told["left onnx"].sentence.startswith("left onnx repeats left's departure")
    assert "right onnx departs from right at" in told["right onnx"].sentence


def test_the_first_divergence_is_of_the_stage_that_is_highest_in_the_tree():
    found = [of("left onnx", 70.0, "input"), of("right", 9.0, "output"), of("left")]
    first = divergence.first(found)
    assert (first.stage, first.parent) == ("right", "torch")
