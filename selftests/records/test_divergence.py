"""The first divergence follows the dataflow, not the order of a list."""

import pytest
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.records import divergence
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL
from msgspec.structs import replace

from selftests.support.records.measurements import clean, taken, with_faults


def test_all_clean_is_no_divergence():
    assert divergence.first(clean()) is None


def test_the_earliest_tap_in_the_dataflow_is_named():
    found = divergence.first(with_faults(**{"output": 900.0, "attn.k": 70.0, "attn.logits": 80.0}))
    assert (found.worst.tap, found.parallel) == ("attn.k", ())
    assert [m.tap for m in found.clean] == ["attn.k_proj"]


def test_branches_that_do_not_explain_each_other_are_both_named():
    found = divergence.first(with_faults(**{"attn.q": 50.0, "attn.k": 70.0, "output": 9000.0}))
    assert (found.worst.tap, found.parallel) == ("attn.k", ("attn.q",))


def test_an_earlier_block_comes_first_however_weak():
    found = divergence.first([*clean(), taken("output", 5.0, 3), taken("norm1", 1e6, 7)])
    assert found.worst.block == 3


def test_the_stage_edge_is_that_of_the_earliest_stage():
    found = divergence.first([taken("norm1", 9.0, stage="onnx"), taken("ls2", 9.0, stage="mapped")])
    assert (found.stage, found.parent) == ("mapped", "equimo")


def test_isolated_measurements_are_asked_before_chained():
    found = divergence.first([taken("output", 9.0, 1, mode=CHAINED), taken("norm1", 9.0, 6)])
    assert (found.worst.mode, found.worst.block) == (ISOLATED, 6)


def test_a_problem_is_told_in_its_words():
    broken = taken("attn.q", float("nan"), problem="absent: declared for this stage, not shown")
    assert "attn.q (isolated): absent" in str(divergence.first([broken]))


@pytest.mark.parametrize("tap", [t.name for t in VIT.taps.values()])
def test_the_tap_table_is_a_graph_without_circles(tap):
    assert tap not in VIT.ancestors(tap)
    assert all(name in VIT.taps for name in VIT.taps[tap].after)


@pytest.mark.parametrize("layer", ["runtime", "release", "streamed", "external"])
def test_a_layer_with_inputs_of_its_own_is_repeated_by_its_name_alone(layer):
    found = divergence.first([replace(taken("norm1", 9.0), layer=layer, passed=False)])
    assert "--reproduce" not in found.command


def test_a_stage_is_held_against_meta_before_it_is_held_against_itself():
    itself = replace(taken("norm", 900.0, None, mode=CHAINED), relation="twice")
    against_meta = taken("pooled", 9.0, None, mode=CHAINED)
    assert divergence.first([itself, against_meta]).worst.tap == "pooled"
    assert "departs from itself at norm (twice)" in str(divergence.first([itself]))


def test_clean_taps_and_counts_are_of_the_same_stage_mode_and_place():
    """Of each tap before it the strongest comparison is told."""
    weak, strong = taken("attn.k_proj", 0.5), taken("attn.k_proj", 1.5)
    wrong, right = taken("attn.k", 70.0), replace(taken("attn.k", 0.9), seed=7)
    others = [
        taken("attn.k_proj", 2.0, 3), taken("attn.k_proj", 2.0, stage="onnx"),
        taken("attn.k_proj", 2.0, mode=LOCAL), taken("attn.k", 2.0, 3), taken("attn.k", 2.0, mode=LOCAL),
    ]  # fmt: skip
    found = divergence.first([*others, weak, strong, weak, wrong, right])
    assert found.clean == (strong,)
    assert (found.inputs, found.failing) == (2, 1)


def test_of_operations_held_alone_the_earliest_is_named_and_every_other_is_told_besides():
    local = lambda tap, ratio, block=0, **more: replace(
        taken(tap, ratio, block, mode=LOCAL), **more
    )
    found = divergence.first([
        local("output", 500.0), local("attn.k", 700.0), local("attn.q", 50.0),
        local("attn.k", 7.0, 2), local("attn.q", 60.0), local("attn.k", 9.0, 2),
        local("attn.k", 8.0, 2), local("norm1", 0.9),
    ])  # fmt: skip
    assert (found.worst.tap, found.worst.ratio, found.parallel) == ("attn.q", 60.0, ())
    assert [(m.where, m.ratio) for m in found.others] == [
        ("block 0, attn.k", 700.0), ("block 0, output", 500.0), ("block 2, attn.k", 9.0),
    ]  # fmt: skip


def test_operations_held_alone_are_asked_before_places():
    found = [taken("norm1", 9.0), taken("output", 9.0, 6, mode=LOCAL)]
    assert (divergence.first(found).worst.mode, divergence.first(found).others) == (LOCAL, ())
    assert divergence.first(found[:1]).others == ()


def test_it_is_a_mistake_that_no_input_of_its_place_denies():
    on = lambda seed, like, block=0: replace(
        taken("norm1", 9.0 + seed, block), seed=seed, like=like, passed=False
    )
    agreed = [on(0, "one or two"), on(1, "two or three"), on(2, "two or one"), on(3, "nothing", 5)]
    assert divergence.first(agreed).worst.like == "two"
    assert divergence.first([*agreed, on(4, "one or three")]).worst.like == ""
    assert divergence.first([on(4, "one or three"), *agreed]).worst.like == ""


def test_of_one_operation_that_departs_in_several_blocks_each_is_asked_by_itself():
    one = lambda block, like: replace(
        taken("norm1", 9.0, block, mode=LOCAL), like=like, passed=False
    )
    assert divergence.first([one(0, "this"), one(5, "that")]).worst.like == "this"
