"""The first divergence follows the dataflow, not the order of a list."""

import pytest
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.records import divergence
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
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
