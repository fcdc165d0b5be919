"""The synthetic checkpoint is what it claims; files that are no release are refused in words."""

import os
import pickle
import zipfile

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints import choice, release
from dinov3_parity.fixtures.checkpoints.synthetic import PROFILES, Synthetic
from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT

VITS16 = VARIANTS["vits16"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A vits16 ``.pth`` in Meta's layout, under a name that claims nothing."""
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    release.write(Synthetic(VITS16), path)
    return path


@pytest.fixture
def fresh(tmp_path):
    return Store(tmp_path / "store")


def changed(path, tmp_path, change) -> os.PathLike:
    """A copy of a ``.pth`` with its tensors changed in place."""
    import torch

    tensors = torch.load(path, weights_only=True)
    change(tensors)
    torch.save(tensors, tmp_path / "changed.pth")
    return tmp_path / "changed.pth"


def test_tensors_are_the_same_in_whatever_order_they_are_asked_for():
    forwards, backwards = Synthetic(VITS16), Synthetic(VITS16)
    names = [n for n in VIT.layout(VITS16) if ".5." in n or "token" in n]
    first = {name: forwards[name] for name in names}
    assert all(np.array_equal(backwards[name], first[name]) for name in reversed(names))


def test_another_seed_is_another_checkpoint():
    name = "blocks.3.mlp.fc1.weight"
    assert not np.array_equal(Synthetic(VITS16, 1)[name], Synthetic(VITS16, 2)[name])
    assert Synthetic(VITS16, 1).digest != Synthetic(VITS16, 2).digest


def test_one_tensor_of_the_largest_variant_costs_only_itself():
    large = Synthetic(VARIANTS["vit7b16"])
    assert large["blocks.39.ls2.gamma"].shape == (4096,)
    assert list(large._recent) == ["blocks.39.ls2.gamma"]


def test_profiles_differ_where_released_files_are_silent():
    revealing, like_release = (Synthetic(VITS16, profile=p) for p in PROFILES)
    bias, mask = "blocks.0.attn.qkv.bias", "blocks.0.attn.qkv.bias_mask"
    assert revealing[bias].all() and set(np.unique(revealing[mask])) == {0, 1}
    assert not revealing[mask][384:768].any()
    assert not like_release[bias].any() and not like_release[mask].any()
    gammas = revealing["blocks.0.ls1.gamma"]
    assert gammas.min() >= 0.1 and gammas.max() <= 0.5


def test_a_written_release_is_recognized_and_read_bit_equal(published, fresh):
    read = choice.inspect(published, fresh)
    assert (read.variant, read.kind) == (VITS16, "release")
    synthetic = Synthetic(VITS16)
    assert all(np.array_equal(read[name], synthetic[name]) for name in synthetic)


def test_a_file_is_checked_once_for_each_content(published, fresh):
    choice.inspect(published, fresh)
    choice.inspect(published, fresh)
    inspections = [artifact for artifact in fresh.log if artifact.kind == "inspection"]
    assert [artifact.reused for artifact in inspections] == [False, True]


def refused(path, store) -> str:
    with pytest.raises(ParityError) as caught:
        choice.inspect(path, store)
    assert "\n" not in str(caught.value), "an error is one paragraph"
    return str(caught.value)


def test_a_missing_file(tmp_path, fresh):
    assert "There is no checkpoint at" in refused(tmp_path / "none.pth", fresh)


def test_a_truncated_file(published, tmp_path, fresh):
    short = tmp_path / "short.pth"
    short.write_bytes(published.read_bytes()[:5_000_000])
    assert "cannot be read as a PyTorch checkpoint" in refused(short, fresh)


def test_a_file_that_is_no_checkpoint(tmp_path, fresh):
    text = tmp_path / "page.pth"
    text.write_text("<html>403 Forbidden</html>")
    assert "Fetch" in refused(text, fresh)


def test_a_foreign_state_dict(tmp_path, fresh):
    import torch

    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.pth")
    words = refused(tmp_path / "resnet.pth", fresh)
    assert "no DINOv3 ViT release" in words and "1 unexpected: conv1.weight" in words


def test_another_variant_under_a_released_name(published, tmp_path, fresh):
    claimed = tmp_path / VARIANTS["vits16plus"].file_name
    claimed.write_bytes(published.read_bytes())
    words = refused(claimed, fresh)
    assert "does not hold vits16plus" in words
    assert "missing: blocks.0.mlp.w1.weight" in words
    assert "unexpected: blocks.0.mlp.fc1.weight" in words


def test_a_hash_that_does_not_match_the_name(published, tmp_path, fresh):
    claimed = tmp_path / VITS16.file_name
    claimed.write_bytes(published.read_bytes())
    assert "its name says 08c60483" in refused(claimed, fresh)


def test_a_misshapen_tensor(published, tmp_path, fresh):
    def change(tensors):
        tensors["norm.weight"] = tensors["norm.weight"][:-1]

    words = refused(changed(published, tmp_path, change), fresh)
    assert "norm.weight (383,) instead of (384,)" in words


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite(published, tmp_path, fresh, value):
    def change(tensors):
        tensors["blocks.7.attn.qkv.bias_mask"][3] = value

    words = refused(changed(published, tmp_path, change), fresh)
    assert "NaN or infinite" in words and "blocks.7.attn.qkv.bias_mask" in words


def test_weights_of_another_precision(published, tmp_path, fresh):
    def change(tensors):
        tensors["blocks.0.mlp.fc1.weight"] = tensors["blocks.0.mlp.fc1.weight"].half()

    assert "float16" in refused(changed(published, tmp_path, change), fresh)


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, fresh):
    marker = tmp_path / "it-ran"
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Bomb(marker)))
    with zipfile.ZipFile(tmp_path / "zipped.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"cls_token": Bomb(marker)}, 2))
        archive.writestr("archive/version", "3")
    assert "cannot be read as a PyTorch checkpoint" in refused(tmp_path / "bare.pth", fresh)
    assert "Nothing of it was run" in refused(tmp_path / "zipped.pth", fresh)
    assert not marker.exists()


def test_pytest_ends_with_the_paragraph_and_without_a_traceback(run_pytest, tmp_path):
    shown = run_pytest("-k", "vits16", f"--checkpoint={tmp_path / 'none.pth'}")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "There is no checkpoint at" in shown.out
    assert "Traceback" not in shown.out


def test_pytest_refuses_a_checkpoint_of_another_variant_than_asked_for(run_pytest, published):
    shown = run_pytest("-k", "vitb16", f"--checkpoint={published}")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "holds vits16" in shown.out and "-k vits16" in shown.out


def test_the_suite_runs_on_a_release_file_and_says_so(run_pytest, published, tmp_path):
    shown = run_pytest("-k", "vits16 and checkpoint", "--checkpoint", str(published))
    assert shown.code == 0, shown.out
    assert f"checkpoint vits16: release file {published.name}" in shown.out


def test_a_file_is_mapped_anew_when_much_of_it_was_read(published, fresh, monkeypatch):
    """So that what was read does not stay resident; arrays in use stay what they are."""
    monkeypatch.setattr(release, "_MAPPED_BYTES", 1 << 20)
    read, synthetic = choice.inspect(published, fresh), Synthetic(VITS16)
    kept = {name: read[name] for name in list(synthetic)[:8]}
    first = read._tensors
    assert read["blocks.5.mlp.fc1.weight"].nbytes > 1 << 20
    assert np.array_equal(read["norm.bias"], synthetic["norm.bias"])
    assert read._tensors is not first
    read.rest()
    assert all(np.array_equal(value, synthetic[name]) for name, value in kept.items())
