"""Taps found in files that somebody else exported, right ones and badly wrong ones."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from dinov3_parity.parity.alignment.alignment import DATAFLOW, PARAMETERS, VALUES
from dinov3_parity.parity.alignment.match import CLEAN
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.faults import catalogue

FIRST, SECOND = Place("block", (0,)), Place("block", (1,))


def names(alignment):
    return {(str(place), tap): one.names for (place, tap), one in alignment.found.items()}


def far(alignment):
    """The taps whose values are not Meta's where the taps before them are."""
    return {(str(p), tap) for (p, tap), one in alignment.found.items() if one.error > CLEAN}


def modules(model):
    """What a hook on each of transformers' modules says that it returns, by tap."""
    found = {}
    for i, layer in enumerate(model.model.layer):
        hooked = {
            "norm1": layer.norm1, "attn.q_proj": layer.attention.q_proj,
            "attn.k_proj": layer.attention.k_proj, "attn.v_proj": layer.attention.v_proj,
            "attn.out": layer.attention.o_proj, "ls1": layer.layer_scale1, "norm2": layer.norm2,
            "ffn.up": layer.mlp.up_proj, "ffn.hidden": layer.mlp.act_fn,
            "ffn.out": layer.mlp.down_proj, "ls2": layer.layer_scale2, "output": layer,
        }  # fmt: skip
        found |= {(Place("block", (i,)), tap): module for tap, module in hooked.items()}
    return found | {(Place("head"), "norm"): model.norm}


def test_every_tap_of_a_right_file_is_found_where_its_numbers_are_meta_s(two_blocks, aligned):
    _, found = aligned(two_blocks)
    assert not found.absent
    assert found.share == 1
    assert not far(found)
    assert all(VALUES in one.by for one in found.found.values())
    held = {key for key in found.found if key[1] in VIT.holds}
    assert all(PARAMETERS in found.found[key].by for key in held)


def test_found_taps_are_the_values_that_hooks_on_the_model_s_own_modules_see(
    two_blocks, aligned, samples
):
    """Against hooks by hand, which know the port's names: no tap that is found is another's value."""
    from selftests.support.stages import foreign

    graph, found = aligned(two_blocks)
    model, seen = foreign.model(two_blocks), {}
    first = lambda value: value[0] if isinstance(value, tuple) else value
    for key, module in modules(model).items():
        module.register_forward_hook(
            lambda module, given, shown, key=key: seen.__setitem__(
                key, first(shown).detach().numpy()
            )
        )
    with torch.no_grad():
        model(torch.from_numpy(samples[0].images))
    shown = graph.run(samples[0].images, [found.found[key].name for key in seen])
    for key, value in seen.items():
        own = shown[found.found[key].name]
        assert np.allclose(own, value, rtol=1e-3, atol=1e-4), key


BADLY = ("patch kernel in BGR", "registers reversed", "rope base 10000", "k and v exchanged")


@pytest.mark.parametrize("name", BADLY)
def test_taps_of_a_badly_wrong_file_are_found_and_the_mistake_is_at_its_own(name, edited, aligned):
    fault = catalogue()[name]
    fault.edit(edited, edited.variant)
    _, found = aligned(edited)
    assert found.share == 1, found.absent
    place = "embed" if fault.block is None else "block 0"
    beside = {"rope.cos"} | {f"attn.{letter}_proj" for letter in "qkv"}
    assert (place, fault.tap) in far(found)
    assert {tap for _, tap in far(found)} <= {fault.tap, *beside}


def test_mistakes_in_two_blocks_are_both_seen_and_neither_hides_the_other(two_blocks, aligned):
    def edit(model):
        model.model.layer[0].norm2.eps = 0.1
        model.model.layer[1].mlp.act_fn = torch.nn.ReLU()

    _, found = aligned(two_blocks, edit)
    assert far(found) == {("block 0", "norm2"), ("block 1", "ffn.hidden")}


def test_what_is_far_from_meta_s_is_confirmed_by_what_comes_after_it(edited, aligned):
    catalogue()["registers reversed"].edit(edited, edited.variant)
    _, found = aligned(edited)
    assert DATAFLOW in found.found[Place("embed"), "tokens"].by


def test_a_bias_that_meta_masks_is_part_of_k(edited, aligned):
    catalogue()["k bias not masked"].edit(edited, edited.variant)

    def edit(model):
        for i, layer in enumerate(model.model.layer):
            own = edited[f"blocks.{i}.attn.qkv.bias"].reshape(3, -1)[1]
            layer.attention.k_proj.bias = torch.nn.Parameter(torch.from_numpy(own.copy()))

    _, found = aligned(edited, edit)
    assert far(found) == {("block 0", "attn.k_proj"), ("block 1", "attn.k_proj")}


def test_a_layer_scale_in_the_weights_before_it_is_told_to_be_one_with_them(two_blocks, aligned):
    def edit(model):
        for layer in model.model.layer:
            for scale, linear in (
                (layer.layer_scale1, layer.attention.o_proj), (layer.layer_scale2, layer.mlp.down_proj),
            ):  # fmt: skip
                linear.weight.data.mul_(scale.lambda1[:, None])
                linear.bias.data.mul_(scale.lambda1)
                scale.forward = lambda x: x

    _, found = aligned(two_blocks, edit)
    assert {tap for _, tap in found.absent} == {"attn.out", "ffn.out"}
    assert "folded" in found.absent[FIRST, "attn.out"]
    assert not far(found)


@pytest.mark.parametrize("level", ["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_of_operators_that_were_fused_only_what_comes_out_is_a_tap(two_blocks, aligned, level):
    """onnxruntime adds the MLP's bias within the activation: before it is no value of the file."""

    def optimize(path):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        model = path.read_bytes()
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    _, found = aligned(two_blocks, change=optimize)
    assert {tap for _, tap in found.absent} == {"ffn.up"} and not far(found)
    assert found.absent[FIRST, "ffn.up"].startswith("computed inside BiasGelu (")


def _with_its_last_residual_in_the_norm(path):
    """As onnxruntime saves a file of torch's dynamo, whose last block hands on what is no value."""
    model = onnx.load(path)
    nodes = {name: node for node in model.graph.node for name in node.output}
    norm = nodes[model.graph.output[0].name]
    assert norm.op_type == "LayerNormalization"
    add = nodes[norm.input[0]]
    norm.op_type, norm.domain = "SkipLayerNormalization", "com.microsoft"
    norm.input[:] = [*add.input, *norm.input[1:]]
    del norm.attribute[:]
    norm.attribute.append(onnx.helper.make_attribute("epsilon", 1e-5))
    model.graph.node.remove(add)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)


def test_a_residual_that_is_added_in_the_norm_after_it_is_handed_on(two_blocks, aligned):
    _, found = aligned(two_blocks, change=_with_its_last_residual_in_the_norm)
    assert not found.absent and not far(found)
    assert found.found[SECOND, "output"].name.endswith("/sum")


def test_an_alignment_is_read_as_it_was_written(two_blocks, aligned):
    import json

    from dinov3_parity.fixtures.ports.looking import read, written

    _, found = aligned(two_blocks)
    assert read(json.loads(json.dumps(written(found)))) == found
