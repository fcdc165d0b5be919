"""Is the reference right? Held against an independent port, and against itself in one piece."""

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.checkpoints.release import write
from dinov3_parity.fixtures.stages.meta.modules import Backbone, Qkv
from dinov3_parity.fixtures.stages.meta.vit import Meta, backbone
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import CHAIN, Input
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from dinov3_parity.parity.yardstick import compare

from selftests.support.stages import hugging_face

VITS16 = VARIANTS["vits16"]
_, *BLOCKS, HEAD = VIT.places(VITS16)
GRIDS = [Input(2, (2, 8), 1), Input(1, (14, 14), 2), Input(1, (5, 3), 4), Input(2, (1, 1), 5)]


@pytest.fixture(scope="module")
def port(vits16):
    """transformers' DINOv3ViTModel with our weights, its rope set from the checkpoint's periods."""
    model = hugging_face.model(VITS16)
    model.load_state_dict(hugging_face.state(vits16.checkpoint), strict=True)
    periods = torch.from_numpy(np.array(vits16.checkpoint["rope_embed.periods"]))
    model.rope_embeddings.inv_freq.copy_(1 / periods)
    return model


@pytest.mark.parametrize("drawn", GRIDS, ids=str)
def test_an_independent_port_agrees_within_twice_the_floor(vits16, port, drawn):
    recording = vits16.recording(drawn, CHAIN)
    with torch.inference_mode():
        shown = port(torch.from_numpy(recording.images)).last_hidden_state.numpy()
    found = compare(recording.part(HEAD, CHAINED)["norm"], shown)
    assert not found.problem
    assert found.ratio <= 2, f"{found.ratio:.2f} times the floor on {drawn}"


def test_without_the_checkpoints_periods_the_port_is_told_apart(vits16, port):
    """The agreement above is no accident of a blunt yardstick: unrounded periods break it."""
    exact = 1 / 100 ** (torch.arange(0, 1, 4 / VITS16.head_dim))
    kept = port.rope_embeddings.inv_freq.clone()
    port.rope_embeddings.inv_freq.copy_(exact)
    try:
        recording = vits16.recording(GRIDS[0], CHAIN)
        with torch.inference_mode():
            shown = port(torch.from_numpy(recording.images)).last_hidden_state.numpy()
    finally:
        port.rope_embeddings.inv_freq.copy_(kept)
    assert compare(recording.part(HEAD, CHAINED)["norm"], shown).ratio > 50


@pytest.mark.parametrize("drawn", GRIDS[:2], ids=str)
def test_block_by_block_is_bit_equal_to_the_whole_model(vits16, drawn):
    stage, recording = Meta(VITS16, vits16.checkpoint), vits16.recording(drawn, CHAIN)
    tokens = stage.embed(recording.images)["tokens"]
    for i in range(VITS16.depth):
        tokens = stage.block(i, tokens, drawn.grid)["output"]
    whole = stage.features(recording.images)
    assert all(np.array_equal(value, whole[name]) for name, value in stage.head(tokens).items())


def test_a_fresh_run_repeats_the_recording(vits16):
    recording = vits16.recording(GRIDS[0])
    stage = Meta(VITS16, vits16.checkpoint)
    shown = stage.block(5, recording.given(BLOCKS[5]), GRIDS[0].grid)
    part = recording.part(BLOCKS[5], ISOLATED)
    assert set(shown) == set(part)
    assert all(compare(part[tap], shown[tap]).ratio <= 1.2 for tap in part)


def test_the_state_dict_has_metas_names(vits16, tmp_path):
    write(vits16.checkpoint, tmp_path / "vits16.pth")
    state = torch.load(tmp_path / "vits16.pth", weights_only=True)
    assert Backbone(VITS16).load_state_dict(state, strict=True)
    assert list(backbone(VITS16, vits16.checkpoint).state_dict().keys() ^ state.keys()) == []


def test_a_mask_that_was_never_loaded_poisons_everything():
    with torch.inference_mode():
        assert Qkv(VITS16)(torch.zeros(1, 1, VITS16.dim)).isnan().any()


def test_the_k_bias_has_no_effect(vits16):
    louder = dict(vits16.checkpoint)
    k_third = np.repeat(np.float32([0, 100, 0]), VITS16.dim)
    for name in louder:
        if name.endswith("qkv.bias"):
            louder[name] = louder[name] + k_third
    images = GRIDS[0].images()
    shown, same = (Meta(VITS16, c).features(images)["cls"] for c in (louder, vits16.checkpoint))
    assert np.array_equal(shown, same)


@pytest.mark.parametrize("name", ["vits16plus", "vit7b16"])
def test_swiglu_and_blocks_without_qkv_bias_run_block_by_block(name):
    """One block of the other structures, against the formula written out in NumPy."""
    from dataclasses import replace

    from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic

    small = replace(VARIANTS[name], dim=64, heads=2, hidden=96, depth=1)
    checkpoint = Synthetic(small)
    tokens = np.random.default_rng(0).standard_normal((1, 9, 64), dtype=np.float32)
    taps = Meta(small, checkpoint, torch.float64).block(0, tokens, (2, 2))
    silu = taps["ffn.gate"] / (1 + np.exp(-taps["ffn.gate"]))
    assert np.allclose(taps["ffn.hidden"], silu * taps["ffn.up"], rtol=1e-12)
    assert ("blocks.0.attn.qkv.bias" in checkpoint) == small.qkv_bias
