"""The guide's steps as commands, in a row on one checkpoint: each file is accepted upstream."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.parity.families import VARIANTS

from selftests.support.commands import answered


def test_equimo_loads_the_archive_as_its_users_do(archive, vits16, tmp_path):
    import jax
    from dinov3_parity.fixtures.stages.equimo import layout
    from dinov3_parity.fixtures.stages.equimo import vit as stage

    copy = shutil.copy(archive, tmp_path)
    loaded = layout.loaded(Path(copy), stage.model_config(VARIANTS["vits16"]))
    ours = vits16.stage("equimo").model
    for theirs, leaf in zip(jax.tree.leaves(loaded), jax.tree.leaves(ours), strict=True):
        assert np.array_equal(theirs, leaf)


def test_the_examples_own_class_loads_the_eqx(eqx_file, vits16):
    import equinox
    import jax
    from jax2onnx.plugins.examples.eqx.dino import VisionTransformer

    random = VisionTransformer(
        img_size=224, patch_size=16, embed_dim=384, depth=12, num_heads=6, num_storage_tokens=4,
        key=jax.random.PRNGKey(1),
    )  # fmt: skip
    loaded = equinox.tree_deserialise_leaves(eqx_file, random)
    ours = vits16.stage("mapped").model
    for theirs, leaf in zip(jax.tree.leaves(loaded), jax.tree.leaves(ours), strict=True):
        assert np.array_equal(theirs, leaf)


def test_onnx_and_onnxruntime_take_the_export(onnx_file):
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(onnx_file))
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    (shown,) = session.run(None, {"images": np.zeros((1, 3, 224, 224), np.float32)})
    assert shown.shape == (1, 197, 384)


def test_the_files_of_all_steps_hold_and_the_guides_figures_come_first(
    pth, archive, eqx_file, onnx_file, capsys
):
    capsys.readouterr()
    words = ["compare", "--weights", str(pth), "--onnx", str(onnx_file), "--eqx", str(eqx_file)]
    assert main([*words, "--equimo", str(archive), "--json"]) == 0
    shown = capsys.readouterr()
    told, lines = json.loads(shown.out), shown.err.splitlines()
    assert (told["exit"], told["verdict"]) == (0, "holds")
    assert [one["stage"] for one in told["files"]] == ["equimo", "mapped", "onnx"]
    for one in told["files"]:
        assert one["gate"].keys() == {"cls", "pooled"}
        assert all(g["passed"] and g["max_abs"] < 1e-5 for g in one["gate"].values())
        assert all(0.1 < r["ratio"] < r["limit"] for r in one["ratios"].values())
    at = lines.index("CLS features")
    assert lines[at + 1].startswith("  cosine : 1.000") and lines[at + 2].startswith("  max|Δ| : ")
    ratios = next(i for i, line in enumerate(lines) if line.startswith("Noise ratios"))
    assert at < lines.index("Pooled patch features") < ratios


@pytest.fixture(scope="module")
def unmasked(folder):
    """What Equimo's own converter makes: it never sees bias_mask, so that k keeps its bias."""
    from dinov3_parity.fixtures.stages.equimo import layout
    from dinov3_parity.fixtures.stages.equimo import vit as stage

    variant = VARIANTS["vits16"]
    weights = dict(Synthetic(variant))
    for name in weights:
        if name.endswith("bias_mask"):
            weights[name] = np.ones_like(weights[name])
    path = folder / "unmasked.tar.lz4"
    layout.save(path, stage.convert(variant, weights), stage.model_config(variant))
    return path


def test_a_faulty_file_in_the_middle_is_found_and_named(pth, unmasked, tmp_path, capsys):
    mapped = tmp_path / "mapped.eqx"
    assert main(["map", "--weights", str(unmasked), "--output", str(mapped)]) == 0
    words = ["compare", "--weights", str(pth), "--equimo", str(unmasked), "--eqx", str(mapped)]
    capsys.readouterr()
    assert main([*words, "--img-size", "32x48", "--json"]) == 1
    shown = capsys.readouterr()
    told, lines = json.loads(shown.out), shown.err.splitlines()
    assert (told["exit"], told["verdict"]) == (1, "departs")
    for one in told["files"]:
        assert (one["first"]["block"], one["first"]["tap"]) == (0, "attn.k_proj")
        assert one["first"]["ratio"] > 1000
        assert one["weights"].startswith("Of its weights 12 of ")
    assert "departs from Meta at block 0, attn.k_proj (isolated)" in lines[-3]
    assert lines[-1] == "Departs: equimo, mapped."


@pytest.fixture(scope="module")
def small(folder, eqx_file):
    """A file of any batch, of images of another size, of another opset."""
    path = folder / "batch.onnx"
    words = ["export", "--eqx", str(eqx_file), "--output", str(path), "--dynamic-b"]
    assert main([*words, "--img-size", "64", "--opset", "18"]) == 0
    return path


@pytest.mark.thorough
def test_a_dynamic_batch_of_another_size_and_opset_holds_in_every_block(pth, small, capsys):
    import onnx

    model = onnx.load(small)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param and [d.dim_value for d in shape[2:]] == [64, 64]
    assert [one.version for one in model.opset_import if not one.domain] == [18]
    words = ["compare", "--weights", str(pth), "--onnx", str(small), "--block-debug"]
    code, told = answered(capsys, words)
    assert code == 0 and told["input"].startswith("B1 4x4 ")
    assert told["files"][0]["compared"] > 12 * 18 and told["files"][0]["failed"] == 0


@pytest.fixture
def other_eps(small, tmp_path):
    """The file with the eps of one norm of block 5 a tenth of what it is."""
    import onnx
    from onnx.numpy_helper import from_array, to_array

    model, path = onnx.load(small), tmp_path / "eps.onnx"
    block = [node for node in model.graph.node if node.name.startswith("blocks.5/")]
    constants = [node.attribute[0] for node in block if node.op_type == "Constant"]
    eps = next(c for c in constants if np.isclose(to_array(c.t), 1e-5, atol=0).all())
    eps.t.CopyFrom(from_array(to_array(eps.t) / np.float32(10)))
    onnx.save(model, path)
    return path


def test_a_mistake_inside_that_does_not_show_at_the_ends_is_found(pth, other_eps, capsys):
    words = ["compare", "--weights", str(pth), "--onnx", str(other_eps)]
    code, told = answered(capsys, words)
    assert code == 1 and (told["files"][0]["first"]["block"], told["files"][0]["weights"]) == (
        5,
        "",
    )


def test_what_was_not_looked_at_stands_in_the_last_line(pth, other_eps, capsys):
    words = ["compare", "--weights", str(pth), "--onnx", str(other_eps), "--no-block-debug"]
    assert main(words) == 0
    *_, verdict, last = capsys.readouterr().out.splitlines()
    assert "Its blocks were not looked at: --no-block-debug compares the ends alone." in verdict
    assert last == "Everything that was compared holds. Not looked at between the ends: onnx."


def test_a_file_of_other_weights_is_told_to_be_one(small, tmp_path, capsys):
    other = tmp_path / "other.pth"
    release.write(Synthetic(VARIANTS["vits16"], seed=1), other)
    code, told = answered(capsys, ["compare", "--weights", str(other), "--onnx", str(small)])
    assert code == 2 and "These are not the weights of " in told["error"]
    assert " tensors differ, the first: " in told["error"]


def test_a_photograph_is_compared_on_by_its_pixels(pth, small, tmp_path, capsys):
    from PIL import Image

    inputs = []
    for seed in range(2):
        photo = tmp_path / f"{seed}.png"
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(photo)
        words = ["compare", "--weights", str(pth), "--onnx", str(small), "--image", str(photo)]
        code, told = answered(capsys, words)
        assert code == 0 and told["input"].startswith("B1 4x4 image-")
        assert str(photo) in told["image"]
        inputs.append(told["input"])
    assert inputs[0] != inputs[1]


@pytest.mark.thorough
def test_one_file_takes_every_size_with_its_weights_beside_it(pth, eqx_file, tmp_path, capsys):
    import onnx

    path = tmp_path / "any size.onnx"
    words = ["export", "--eqx", str(eqx_file), "--output", str(path), "--dynamic-size"]
    code, told = answered(capsys, [*words, "--external-data", "--opset", "23"])
    assert code == 0 and told["output"]["bytes"] < 2e6 < 8e7 < told["output"]["data"]["bytes"]
    onnx.checker.check_model(str(path))
    words = ["compare", "--weights", str(pth), "--onnx", str(path), "--img-size", "16x80"]
    code, told = answered(capsys, words)
    assert code == 0 and told["input"].startswith("B1 1x5 ")


@pytest.mark.thorough
def test_all_steps_run_through_the_store(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(release, "CACHES", (tmp_path,))
    words = ["run", "--variant", "vits16", "--dynamic-size", "--img-size", "32x48"]
    code, told = answered(capsys, words)
    assert code == 0 and told["weights"].startswith("synthetic")
    assert told["steps"].keys() == {"convert", "map", "export"}
    assert all(Path(path).is_file() for path in told["steps"].values())
    assert [one["holds"] for one in told["files"]] == [True] * 3


@pytest.mark.thorough
def test_the_file_as_jax2onnx_writes_it_is_to_be_had(pth, eqx_file, tmp_path, capsys):
    import onnx

    path = tmp_path / "functions.onnx"
    words = ["export", "--eqx", str(eqx_file), "--output", str(path), "--img-size", "64"]
    assert main([*words, "--functions"]) == 0
    assert len(onnx.load(path).functions) == 86
    code, told = answered(capsys, ["compare", "--weights", str(pth), "--onnx", str(path)])
    assert code == 0 and told["files"][0]["untapped"] == "" and told["files"][0]["compared"] > 200


def test_functions_that_would_expand_to_too_much_are_refused(
    eqx_file, tmp_path, capsys, monkeypatch
):
    """As of vitl16, whose file onnxruntime would not load."""
    from dinov3_parity.fixtures.workflow import exporting

    monkeypatch.setattr(exporting, "EXPANDED", 1)
    words = ["export", "--eqx", str(eqx_file), "--output", str(tmp_path / "no.onnx")]
    assert main([*words, "--functions"]) == 2
    assert "whose functions expand to" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "no.onnx").exists()


@pytest.mark.thorough
def test_a_variant_with_swiglu_goes_all_the_way(tmp_path, capsys):
    """The example class of jax2onnx has no SwiGLU: the modules are the suite's own.

    Thorough: each step is tried on vits16 above, and ``pytest -k vits16plus`` holds the same modules to
    Meta's; the files of one more model take most of a minute."""
    variant = VARIANTS["vits16plus"]
    release.write(Synthetic(variant), tmp_path / "meta.pth")
    made = {step: str(tmp_path / name) for step, name in (
        ("convert", "a.tar.lz4"), ("map", "a.eqx"), ("export", "a.onnx"),
    )}  # fmt: skip
    given = {"convert": "--weights", "map": "--weights", "export": "--eqx"}
    source = str(tmp_path / "meta.pth")
    for step, path in made.items():
        words = [step, "--variant", "vits16plus", given[step], source, "--output", path]
        assert main([*words, *(["--dynamic-size"] if step == "export" else [])]) == 0
        source = path
    words = ["compare", "--variant", "vits16plus", "--weights", str(tmp_path / "meta.pth")]
    words += ["--onnx", made["export"], "--eqx", made["map"], "--equimo", made["convert"]]
    code, told = answered(capsys, [*words, "--block-debug", "--img-size", "32x48"])
    assert code == 0 and all(one["compared"] > 12 * 18 for one in told["files"])
