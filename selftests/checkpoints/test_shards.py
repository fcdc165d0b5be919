"""Releases as Hugging Face publishes them, written by transformers itself, are read as Meta's."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from dinov3_parity.fixtures.checkpoints import choice, shards
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from safetensors.numpy import load_file, save_file

from selftests.support.stages import hugging_face

VITS16 = VARIANTS["vits16"]


def published(variant, folder, **saving):
    """What transformers writes of a variant's synthetic checkpoint."""
    model = hugging_face.model(variant)
    model.load_state_dict(hugging_face.state(Synthetic(variant)), strict=True)
    model.save_pretrained(folder, **saving)
    return folder


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """vits16 in several shards, in a folder that claims nothing."""
    folder = published(VITS16, tmp_path_factory.mktemp("hub") / "mine", max_shard_size="30MB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


@pytest.fixture
def copied(sharded, tmp_path):
    return shutil.copytree(sharded, tmp_path / "copy")


@pytest.fixture
def fresh(tmp_path):
    return Store(tmp_path / "store")


def refused(path, store) -> str:
    with pytest.raises(ParityError) as caught:
        choice.inspect(path, store)
    assert "\n" not in str(caught.value), "an error is one paragraph"
    assert not [a for a in store.log if a.kind == "inspection"], "refused before any work is done"
    return str(caught.value)


def rewritten(file, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def same_as_synthetic(read, variant) -> None:
    """Bit for bit; of the joint bias what the mask lets through, for the file has no bias of k;
    local_cls_norm is not there, and the identity."""
    synthetic = Synthetic(variant)
    assert list(read) == list(VIT.layout(variant))
    for name in read:
        ours, meta = read[name], synthetic[name]
        if name.startswith("local_cls_norm"):
            meta = np.full(meta.shape, name.endswith("weight"), np.float32)
        if name.endswith("qkv.bias"):
            meta = meta * synthetic[f"{name}_mask"]
        assert ours.dtype == np.float32 and np.array_equal(ours, meta), name


@pytest.mark.parametrize("name", VARIANTS)
def test_the_names_are_those_of_transformers_model(name):
    variant = VARIANTS[name]
    with torch.device("meta"):
        theirs = hugging_face.model(variant).state_dict()
    found = {name.removeprefix("model."): tuple(value.shape) for name, value in theirs.items()}
    assert found == shards.names(variant)


def test_shards_are_recognized_and_read_bit_equal(sharded, fresh):
    read = choice.inspect(sharded, fresh)
    assert (read.variant, read.kind) == (VITS16, "release")
    assert "Hugging Face safetensors mine, " in read.description
    same_as_synthetic(read, VITS16)


def test_the_index_may_be_named_instead_of_the_folder(sharded, fresh):
    by_index = choice.inspect(sharded / shards.INDEX, fresh)
    assert by_index.digest == choice.inspect(sharded, fresh).digest


@pytest.mark.parametrize("name", ["vits16plus", "vit7b16"])
def test_one_file_swiglu_and_no_bias_of_q_and_v(name, tmp_path):
    small = replace(VARIANTS[name], dim=64, heads=2, hidden=96, depth=2)
    folder = published(small, tmp_path / "small")
    same_as_synthetic(shards.Shards(folder / shards.SINGLE, small, "00"), small)


def test_names_of_the_first_files_have_no_prefix(copied, fresh):
    for file in copied.glob("*.safetensors"):
        save_file({n.removeprefix("model."): v for n, v in load_file(file).items()}, file)
    same_as_synthetic(choice.inspect(copied, fresh), VITS16)


def test_the_files_are_read_once_for_each_content(sharded, fresh):
    choice.inspect(sharded, fresh)
    choice.inspect(sharded, fresh)
    kinds = [(artifact.kind, artifact.reused) for artifact in fresh.log]
    assert kinds == [(kind, late) for late in (False, True) for kind in ("digest", "inspection")]


def test_a_missing_shard(copied, fresh):
    lost = sorted(copied.glob("*.safetensors"))[1]
    lost.unlink()
    words = refused(copied, fresh)
    assert "lacks 1 of the" in words and lost.name in words


def test_a_truncated_shard(copied, fresh):
    short = sorted(copied.glob("*.safetensors"))[1]
    short.write_bytes(short.read_bytes()[:-1000])
    words = refused(copied, fresh)
    assert short.name in words and "cut off" in words


def test_a_file_that_is_no_safetensors(copied, fresh):
    page = sorted(copied.glob("*.safetensors"))[0]
    page.write_text("<html>403 Forbidden</html>")
    assert page.name in refused(copied, fresh)


def test_an_index_that_names_files_elsewhere(copied, fresh):
    index = json.loads((copied / shards.INDEX).read_text())
    index["weight_map"]["norm.weight"] = "../secrets.safetensors"
    (copied / shards.INDEX).write_text(json.dumps(index))
    assert "outside its folder: ../secrets.safetensors" in refused(copied, fresh)


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_an_index_that_is_none(copied, fresh, text):
    (copied / shards.INDEX).write_text(text)
    assert "is not the index of a sharded release" in refused(copied, fresh)


def test_a_folder_without_a_release(tmp_path, fresh):
    assert "holds neither" in refused(tmp_path, fresh)


def test_another_variant_than_the_repositorys_name_says(sharded, tmp_path, fresh):
    claimed = shutil.copytree(sharded, tmp_path / "dinov3-vits16plus-pretrain-lvd1689m")
    words = refused(claimed, fresh)
    assert "does not hold vits16plus" in words and "missing: layer.0.mlp.gate_proj.weight" in words


def test_a_tensor_too_many(copied, fresh):
    file = sorted(copied.glob("*.safetensors"))[0]
    rewritten(file, lambda tensors: tensors.update({"head.weight": np.zeros(3, np.float32)}))
    words = refused(copied, fresh)
    assert "no DINOv3 ViT release" in words and "1 unexpected: head.weight" in words


def test_a_tensor_that_two_files_hold(copied, fresh):
    first, second = sorted(copied.glob("*.safetensors"))[:2]
    name, value = next(iter(load_file(second).items()))
    rewritten(first, lambda tensors: tensors.update({name: value}))
    assert "files of more than one release" in refused(copied, fresh)


def test_weights_of_another_precision(copied, fresh):
    file = sorted(copied.glob("*.safetensors"))[0]
    rewritten(file, lambda tensors: tensors.update({n: v.astype("f2") for n, v in tensors.items()}))
    assert "float16" in refused(copied, fresh)


def test_a_value_that_is_not_finite(copied, fresh):
    file = sorted(copied.glob("*.safetensors"))[-1]
    rewritten(file, lambda tensors: next(iter(tensors.values())).fill(np.nan))
    assert "NaN or infinite" in refused(copied, fresh)


@pytest.fixture
def either(tmp_path):
    """Headers of a file that fits both releases of vitl16; none of its numbers is there."""
    names = shards.names(VARIANTS["vitl16"])
    table, offset = {}, 0
    for name, shape in names.items():
        size = 4 * int(np.prod(shape))
        table[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    header = json.dumps(table).encode()
    with (tmp_path / shards.SINGLE).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + offset)  # a hole: it takes no room
    return tmp_path


def test_two_releases_of_one_architecture_are_told_apart(either):
    with pytest.raises(ParityError, match="release of either dataset"):
        shards.recognize(either)
    told = {"image_mean": [0.430, 0.411, 0.296]}
    (either / shards.PREPROCESSOR).write_text(json.dumps(told))
    assert shards.recognize(either).name == "vitl16_sat"
    named = either.rename(either.parent / "dinov3-vitl16-pretrain-lvd1689m")
    assert shards.recognize(named).name == "vitl16"


def test_the_suite_runs_on_them_and_says_which_kind_was_read(run_pytest, sharded):
    shown = run_pytest("-k", "vits16 and checkpoint", "--checkpoint", str(sharded))
    assert shown.code == 0, shown.out
    assert "checkpoint vits16: Hugging Face safetensors mine, " in shown.out
