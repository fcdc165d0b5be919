"""Equimo as it is installed: every name by which the suite calls it leads somewhere, and does that."""

import importlib
import json
import shutil
import tarfile
import warnings

import lz4.frame
import numpy as np
import pytest
from dinov3_parity.fixtures.graphs import pytrees
from dinov3_parity.fixtures.graphs.jax_taps import Program, functions
from dinov3_parity.fixtures.stages.equimo import layout
from dinov3_parity.fixtures.stages.equimo.taps import TAPS, taps
from dinov3_parity.fixtures.stages.equimo.vit import ARCHIVE, _run_block, model_config
from dinov3_parity.fixtures.workflow import archive

#: What only the metadata of 2.x has; 1.1's have the rest.
NEWER = ("format", "format_version", "model_class", "model_signature", "weights_sha256")

GRID = (2, 3)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("1.1.0", layout.FIRST), ("1.1.1", layout.SECOND), ("2.7.0", layout.SECOND)],
)
def test_the_second_layout_came_with_1_1_1(installed, expected):
    assert layout.of(installed) is expected


def test_the_hook_tables_of_the_two_layouts_differ_at_rope_alone():
    first, second = taps(layout.FIRST), taps(layout.SECOND)
    assert first.keys() == second.keys()
    assert {tap for tap in first if first[tap] != second[tap]} == {
        "rope.sin", "rope.cos", "attn.q", "attn.k",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["model class", "archives", "rotation"])
def test_a_name_of_the_layout_here_leads_somewhere(name):
    here = layout.HERE
    full = {
        "model class": f"{here.models}.VisionTransformer",
        "archives": f"{here.archives}.load_weights",
        "rotation": here.rotation,
    }[name]
    module, _, attribute = full.rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_tables_taken_apart_and_joined_are_those_a_block_is_given(vits16):
    rope = vits16.stage("equimo").model.local_pos_embed
    made = layout.tables(rope, GRID, inference=True)
    sin, cos = layout.sin_cos(made)
    prefix = vits16.variant.prefix
    assert sin.shape == cos.shape == (prefix + 6, vits16.variant.dim // vits16.variant.heads)
    assert not sin[:prefix].any() and (cos[:prefix] == 1).all()
    again = layout.sin_cos(layout.joined(sin, cos))
    assert type(layout.joined(sin, cos)) is type(made) and np.array_equal(again, (sin, cos))


def test_the_rotation_turns_the_last_tokens_in_halves_and_leaves_those_before():
    rng = np.random.default_rng(0)
    x, (sin, cos) = rng.normal(size=(2, 9, 8)).astype("f4"), rng.normal(size=(2, 6, 8)).astype("f4")
    shown = np.asarray(layout.rotation()(x, sin, cos))
    half = np.concatenate((-x[:, 3:, 4:], x[:, 3:, :4]), axis=-1)
    assert np.array_equal(shown[:, :3], x[:, :3])
    np.testing.assert_allclose(shown[:, 3:], x[:, 3:] * cos + half * sin, rtol=1e-6, atol=1e-6)


def test_a_rotation_in_the_place_of_equimos_is_the_one_that_its_blocks_call(vits16):
    """With Equimo's own in its place nothing changes; with one that turns nothing q and k do."""
    stage = vits16.stage("equimo")
    tokens = np.random.default_rng(0).normal(size=(1, 11, vits16.variant.dim)).astype("f4")
    own = layout.rotation()
    shown = {}
    for name, one in {
        "as it is": lambda x, sin, cos, letter: own(x, sin, cos),
        "still": lambda x, sin, cos, letter: x,
    }.items():
        program = Program(_run_block, functions(TAPS, layout.rotating(one)))
        _, shown[name] = program(*stage.arguments(0, tokens, GRID))
    right = stage.block(0, tokens, GRID)
    for tap in ("attn.q", "attn.k"):
        np.testing.assert_allclose(shown["as it is"][tap], right[tap], rtol=1e-5, atol=1e-5)
        assert np.abs(shown["still"][tap] - right[tap]).max() > 0.1


def test_equimo_loads_the_archive_by_its_own_loader(vits16, tmp_path):
    own = tmp_path / "dinov3_vits16.tar.lz4"
    shutil.copy(vits16.artifact("equimo").path / ARCHIVE, own)
    loaded = pytrees.parameters(layout.loaded(own, model_config(vits16.variant)))
    ours = vits16.stage("equimo").parameters()
    assert loaded.keys() == ours.keys()
    assert all(np.array_equal(loaded[path], value) for path, value in ours.items())


@pytest.mark.parametrize("writer", ["1.1", "2.x"])
def test_an_archive_is_read_whichever_equimo_wrote_it(vits16, tmp_path, writer):
    """The two write the same numbers in the same order, and metadata of their own."""
    made = vits16.artifact("equimo").path / ARCHIVE
    other = _written_by(writer, made, tmp_path / "other.tar.lz4")
    with warnings.catch_warnings(action="error"):
        model = archive.read(other, vits16.variant, tmp_path / "unpacked")
    shown = pytrees.parameters(model)
    ours = vits16.stage("equimo").parameters()
    assert all(np.array_equal(shown[path], value) for path, value in ours.items())


def _written_by(writer, made, path):
    """A copy of an archive with the metadata that a version of Equimo writes."""
    with lz4.frame.open(made) as stream, tarfile.open(fileobj=stream, mode="r|") as members:
        members.extractall(path.parent / "members", filter="data")
    metadata = path.parent / "members" / "metadata.json"
    told = json.loads(metadata.read_text())
    if writer == "1.1":
        told = {name: value for name, value in told.items() if name not in NEWER}
    else:
        told = dict.fromkeys(NEWER, "told") | told
    metadata.write_text(json.dumps(told))
    with lz4.frame.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as members:
        for member in ("metadata.json", "weights.eqx"):
            members.add(path.parent / "members" / member, arcname=member)
    return path
