"""The guide's steps as commands, in a row on one checkpoint: each file is accepted upstream."""

import errno
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import lz4.frame
import numpy as np
import pytest

from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.workflow import comparison
from dinov3_parity.fixtures.workflow.delivery import delivered
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.variants import VARIANTS

GUIDE = "dinov3_vits16_pretrain_lvd1689m"


@pytest.fixture(scope="module", autouse=True)
def _on_the_store(store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DINOV3_PARITY_STORE", str(store.root))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("workflow")


@pytest.fixture(scope="module")
def pth(folder):
    """A checkpoint in Meta's layout, as torch writes it."""
    path = folder / "meta.pth"
    release.write(Synthetic(VARIANTS["vits16"]), path)
    return path


@pytest.fixture(scope="module")
def archive(folder, pth):
    """As the guide calls it: the ending is left to the command."""
    words = ["convert", "--variant", GUIDE, "--weights", str(pth), "--output", str(folder / GUIDE)]
    assert main(words) == 0
    return folder / f"{GUIDE}.tar.lz4"


@pytest.fixture(scope="module")
def eqx_file(folder, archive):
    path = folder / "eqx_dinov3_vits16_mapped.eqx"
    words = ["map", "--variant", GUIDE, "--weights", str(archive), "--output", str(path)]
    assert main(words) == 0
    return path


@pytest.fixture(scope="module")
def onnx_file(folder, eqx_file):
    path = folder / "eqx_dinov3_vit_S16.onnx"
    assert main(["export", "--eqx", str(eqx_file), "--output", str(path), "--img-size", "224"]) == 0
    return path


def seen(folder):
    """Every file below a folder, with its content's identity."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in Path(folder).rglob("*")}


def answered(capsys, words):
    """The exit code and the one object that a command answers with on standard output."""
    capsys.readouterr()
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_equimo_loads_the_archive_as_its_users_do(archive, vits16, tmp_path):
    import equimo.io
    import jax

    copy = shutil.copy(archive, tmp_path)
    loaded = equimo.io.load_model(cls="vit", path=Path(copy))
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
    (shown,) = session.run(None, {"in_0": np.zeros((1, 3, 224, 224), np.float32)})
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
    import equimo.io

    from dinov3_parity.fixtures.stages.equimo import vit as stage

    variant = VARIANTS["vits16"]
    weights = dict(Synthetic(variant))
    for name in weights:
        if name.endswith("bias_mask"):
            weights[name] = np.ones_like(weights[name])
    path = folder / "unmasked.tar.lz4"
    equimo.io.save_model(path, stage.convert(variant, weights), stage.model_config(variant))
    return path


def test_a_faulty_file_in_the_middle_is_found_and_named(pth, unmasked, tmp_path, capsys):
    mapped = tmp_path / "mapped.eqx"
    assert main(["map", "--weights", str(unmasked), "--output", str(mapped)]) == 0
    words = ["compare", "--weights", str(pth), "--equimo", str(unmasked), "--eqx", str(mapped)]
    capsys.readouterr()
    assert main([*words, "--block-debug", "--img-size", "32x48", "--json"]) == 1
    shown = capsys.readouterr()
    told, lines = json.loads(shown.out), shown.err.splitlines()
    assert (told["exit"], told["verdict"]) == (1, "departs")
    for one in told["files"]:
        assert (one["first"]["block"], one["first"]["tap"]) == (0, "attn.k_proj")
        assert one["first"]["ratio"] > 1000
    assert "departs from Meta at block 0, attn.k_proj (isolated)" in lines[-3]
    assert lines[-1] == "Departs: equimo, mapped."


@pytest.fixture(scope="module")
def small(folder, eqx_file):
    """A file of any batch, of images of another size, of another opset."""
    path = folder / "batch.onnx"
    words = ["export", "--eqx", str(eqx_file), "--output", str(path), "--dynamic-b"]
    assert main([*words, "--img-size", "64", "--opset", "18"]) == 0
    return path


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


def test_all_steps_run_through_the_store(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(release, "CACHES", (tmp_path,))
    words = ["run", "--variant", "vits16", "--dynamic-size", "--img-size", "32x48"]
    code, told = answered(capsys, words)
    assert code == 0 and told["weights"].startswith("synthetic")
    assert told["steps"].keys() == {"convert", "map", "export"}
    assert all(Path(path).is_file() for path in told["steps"].values())
    assert [one["holds"] for one in told["files"]] == [True] * 3


def tarred(path, **members):
    """A .tar.lz4 of these members, by name."""
    with lz4.frame.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def settings(**changed):
    from dinov3_parity.fixtures.stages.equimo import vit as equimo

    config = equimo.model_config(VARIANTS["vits16"]) | changed
    return json.dumps({"model_config": config}).encode()


def _cut(path, target, share=0.5):
    target.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return target


def _longer(path, target):
    target.write_bytes(path.read_bytes() + b"abc")
    return target


def _dictionary(target):
    np.save(target.open("wb"), np.array([{}], object), allow_pickle=True)
    return target


def _huge(target):
    header = {"descr": "<f4", "fortran_order": False, "shape": (1, 1, 10**13)}
    with target.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
    return target


BAD = {
    "convert, a release cut off": (
        "damaged", lambda t: ["convert", "--weights", _cut(t.pth, t / "in.pth")],
    ),
    "convert, another variant": (
        "vitb16", lambda t: ["convert", "--variant", "vitb16", "--weights", t.pth],
    ),
    "convert, no such variant": (
        "--variant v", lambda t: ["convert", "--variant", "v", "--weights", t.pth],
    ),
    "convert, no release": ("no checkpoint", lambda t: ["convert", "--weights", t / "none.pth"]),
    "map, no archive": ("no file at", lambda t: ["map", "--weights", t / "none.tar.lz4"]),
    "map, a release": ("cannot be read", lambda t: ["map", "--weights", t.pth]),
    "map, an archive cut off": (
        "cannot be read", lambda t: ["map", "--weights", _cut(t.archive, t / "in.tar.lz4")]
    ),
    "map, a member outside": (
        "was refused", lambda t: ["map", "--weights", tarred(t / "in.tar.lz4", **{"../out": b"x"})]
    ),
    "map, a bomb": (
        "unpacks to more",
        lambda t: ["map", "--weights", tarred(t / "in.tar.lz4", **{"weights.eqx": bytes(100 << 20)})],
    ),
    "map, no weights": (
        "has no weights.eqx",
        lambda t: ["map", "--weights", tarred(t / "in.tar.lz4", **{"metadata.json": settings()})],
    ),
    "map, another eps": (
        "eps 1e-06 instead of 1e-05",
        lambda t: ["map", "--weights", tarred(
            t / "in.tar.lz4", **{"metadata.json": settings(eps=1e-6), "weights.eqx": b""}
        )],
    ),
    "map, empty weights": (
        "is not there",
        lambda t: ["map", "--weights", tarred(
            t / "in.tar.lz4", **{"metadata.json": settings(), "weights.eqx": b""}
        )],
    ),
    "map, another variant": (
        "was refused|does not hold|built otherwise",
        lambda t: ["map", "--variant", "vitb16", "--weights", t.archive],
    ),
    "export, an eqx cut off": ("cut off", lambda t: ["export", "--eqx", _cut(t.eqx, t / "in.eqx")]),
    "export, the last number missing": (
        "array 273 of 273, .dino_rope.periods, is cut off",
        lambda t: ["export", "--eqx", _cut(t.eqx, t / "in.eqx", 1 - 1e-8)],
    ),
    "export, more than a model": (
        "3 bytes follow", lambda t: ["export", "--eqx", _longer(t.eqx, t / "in.eqx")]
    ),
    "export, objects": ("Python objects", lambda t: ["export", "--eqx", _dictionary(t / "in.eqx")]),
    "export, terabytes": ("instead of", lambda t: ["export", "--eqx", _huge(t / "in.eqx")]),
    "export, another variant": (
        "does not hold jax2onnx's example of vitb16",
        lambda t: ["export", "--variant", "vitb16", "--eqx", t.eqx],
    ),
    "export, not square": (
        "--dynamic-size one file", lambda t: ["export", "--eqx", t.eqx, "--img-size", "32x48"]
    ),
    "export, half a patch": (
        "multiple", lambda t: ["export", "--eqx", t.eqx, "--img-size", "100"]
    ),
    "export, a deadly opset": ("--opset 15", lambda t: ["export", "--eqx", t.eqx, "--opset", "15"]),
    "compare, nothing": ("Say what to compare", lambda t: ["compare", "--weights", t.pth]),
    "compare, no ONNX file": (
        "not an ONNX file", lambda t: ["compare", "--weights", t.pth, "--onnx", t.pth]
    ),
    "compare, another size": (
        "alone", lambda t: ["compare", "--weights", t.pth, "--onnx", t.onnx, "--img-size", "32"]
    ),
    "compare, no image": (
        "none.png", lambda t: ["compare", "--weights", t.pth, "--eqx", t.eqx, "--image", t / "none.png"]
    ),
}  # fmt: skip


class Room(type(Path())):
    """A folder, with the good files of each step at hand."""


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_paragraph_and_leaves_nothing(
    case, pth, archive, eqx_file, onnx_file, tmp_path, capsys
):
    room = Room(tmp_path)
    memory_check.pth, memory_check.archive, memory_check.eqx, memory_check.onnx = pth, archive, eqx_file, onnx_file
    says, words = BAD[case]
    words = [str(word) for word in words(memory_check)]
    if words[0] != "compare":
        (tmp_path / "out").mkdir()
        words += ["--output", str(tmp_path / "out" / "made")]
    before = seen(tmp_path)
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("dinov3-parity: ") and "\n" not in said
    assert any(one in said for one in says.split("|")), said
    assert {p: known for p, known in seen(tmp_path).items() if p != tmp_path / "out"} == {
        p: known for p, known in before.items() if p != tmp_path / "out"
    }


def test_not_finite_numbers_are_refused(eqx_file, tmp_path, capsys):
    content = bytearray(eqx_file.read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "in.eqx").write_bytes(content)
    words = ["export", "--eqx", str(tmp_path / "in.eqx"), "--output", str(tmp_path / "made.onnx")]
    assert main(words) == 2
    assert "NaN or infinite" in capsys.readouterr().err
    assert not (tmp_path / "made.onnx").exists()


def test_a_different_file_is_not_replaced_unasked(archive, eqx_file, tmp_path, capsys):
    path = tmp_path / "mapped.eqx"
    path.write_text("mine")
    words = ["map", "--weights", str(archive), "--output", str(path)]
    assert main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]
    assert main([*words, "--force"]) == 0
    assert path.read_bytes() == eqx_file.read_bytes()
    assert main(words) == 0, "the same file again is no other file"


@pytest.mark.parametrize(
    ("name", "says"),
    [("none/made", "no folder"),
     ("folder", "is a folder"), ("v1.0", "another dot")],
)  # fmt: skip
def test_a_name_that_cannot_be_a_files_is_refused_before_any_work(
    pth, tmp_path, capsys, name, says
):
    (tmp_path / "folder.tar.lz4").mkdir()
    words = ["convert", "--weights", str(pth), "--output", str(tmp_path / name)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--output FILE" in said and says in said
    assert [p.name for p in tmp_path.iterdir()] == ["folder.tar.lz4"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    target = tmp_path / "made.onnx"
    target.write_text("before")
    with (
        pytest.raises(ParityError, match=r"No space left on device.*--output FILE"),
        delivered(target, True) as made,
    ):
        made.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_an_interruption_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), delivered(tmp_path / "made.onnx", False) as made:
        made.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_the_suites_own_does_not_say_that_something_departs(
    pth, eqx_file, capsys, monkeypatch
):
    def broken(*args):
        raise IndexError("a bug")

    monkeypatch.setattr(comparison, "find", broken)
    code, told = answered(capsys, ["compare", "--weights", str(pth), "--eqx", str(eqx_file)])
    assert (code, told["exit"]) == (2, 2) and "IndexError" in told["error"]


@pytest.mark.parametrize("step", ["convert", "map", "export", "compare", "run"])
def test_a_model_that_memory_cannot_hold_is_refused_before_any_work(
    step, pth, archive, eqx_file, onnx_file, tmp_path, capsys, monkeypatch
):
    """A tenth of what vit7b16 takes is free, whatever the machine has."""
    import psutil

    from dinov3_parity.fixtures.host import memory_check

    variant = VARIANTS["vit7b16"]
    free = type("Memory", (), {"available": memory_check.needed(step, variant) / 10})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    words = {
        "convert": ["--weights", pth], "map": ["--weights", archive], "export": ["--eqx", eqx_file],
        "compare": ["--weights", pth, "--onnx", onnx_file], "run": ["--weights", pth],
    }[step]  # fmt: skip
    if step in ("convert", "map", "export"):
        words += ["--output", tmp_path / "made"]
    assert main([step, "--variant", "vit7b16", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert "GiB of memory are free" in said and "pytest -k vit7b16" in said
    assert list(tmp_path.iterdir()) == []


def test_functions_that_would_expand_to_too_much_are_inlined(
    pth, eqx_file, tmp_path, capsys, monkeypatch
):
    """As of vitl16, whose file onnxruntime would refuse; its blocks cannot be looked at any more."""
    import onnx

    from dinov3_parity.fixtures.workflow import exporting

    monkeypatch.setattr(exporting, "EXPANDED", 1)
    path = tmp_path / "inlined.onnx"
    words = ["export", "--eqx", str(eqx_file), "--output", str(path), "--img-size", "64"]
    assert main(words) == 0
    assert not onnx.load(path).functions and path.stat().st_size > 8e7
    words = ["compare", "--weights", str(pth), "--onnx", str(path), "--block-debug"]
    code, told = answered(capsys, words)
    assert code == 0 and "its functions were inlined" in told["files"][0]["untapped"]


def test_a_variant_with_swiglu_goes_all_the_way(tmp_path, capsys):
    """The example class of jax2onnx has no SwiGLU: the modules are the suite's own."""
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
