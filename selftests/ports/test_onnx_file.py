"""ONNX files as ports: what they take and return is read off them, and whose weights they hold."""

import re

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.host import extras
from dinov3_parity.fixtures.pipeline.weights import differing_of_any, sizes
from dinov3_parity.fixtures.ports.fitting import Takes
from dinov3_parity.fixtures.ports.onnx_file import called, from_file
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.chosen import SMALL
from dinov3_parity.parity.records import reader
from onnx import numpy_helper

from selftests.support.hostile.onnx_files import tokens_of
from selftests.support.stages.brought import in_a_paragraph
from selftests.support.stages.onnx_files import by_tanh, exported

CLS, ALL = ["cls", "patches", "pooled"], ["norm", "cls", "registers", "patches", "pooled"]
FORMS = {
    "static": (Takes(((14, 14),), (1,)), CLS, "B1 14x14 seed=2"),
    "batch": (Takes(((14, 14),), ()), CLS, "B1 14x14 seed=2"),
    "size": (Takes(), ALL, "B2 2x8 seed=1"),
}


@pytest.mark.parametrize(
    "form",
    ["size", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("static", "batch"))],
)
def test_an_exported_file_is_held_without_a_line_of_code(run_pytest, vits16, tmp_path, form):
    """By all that it returns, on what it takes; the declared pieces are no fewer."""
    takes, returned, drawn = FORMS[form]
    path = exported(vits16, form, tmp_path)
    port = from_file(str(path))
    assert (port.name, port.takes) == (form, takes)
    asked = f"vits16 and {form} and outputs"
    shown = run_pytest("--stage", str(path), "-k", asked, "--reproduce", drawn)
    assert shown.code == 0, shown.out
    count = len(returned)
    assert f"compared {count} of {count} declared taps on " in shown.out
    assert f"{form} shows what the whole model returns (an ONNX file, run as it is)" in shown.out
    found = reader.read(tmp_path / "report").found
    assert sorted(m.tap for m in found) == sorted(returned)
    assert all(m.runtime.startswith("onnxruntime ") and m.ratio < 2 for m in found)


def test_a_file_with_a_mistake_departs_where_it_returns_it(run_pytest, vits16, tmp_path):
    broken = by_tanh(exported(vits16, "static", tmp_path), tmp_path / "tanh.onnx")
    asked = ("--stage", str(broken), "-k", "vits16 and tanh and outputs")
    shown = run_pytest(*asked, "--reproduce", "B1 14x14 seed=1")
    assert shown.code == pytest.ExitCode.TESTS_FAILED
    found = reader.read(tmp_path / "report").found
    assert "vits16: tanh departs from meta at patches (chained)" in shown.out, shown.out
    assert sorted(m.tap for m in found) == sorted(CLS) and all(m.ratio > 10 for m in found)


def test_inputs_are_made_what_a_file_takes(run_pytest, vits16, tmp_path):
    """The pinned ones, too; more are not computed here."""
    port = from_file(str(exported(vits16, "static", tmp_path)))
    assert str(port.fitted(SMALL)) == "B1 14x14 seed=1"
    shown = run_pytest(
        "--stage", str(tmp_path / "static.onnx"), "-k", "vits16 and static and outputs",
        "--reproduce", "B2 2x8 seed=1",
    )  # fmt: skip
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "sizes 224x224 and batches 1" in shown.out


def test_a_file_of_other_weights_is_told_as_such(run_pytest, vits16, tmp_path):
    path = exported(vits16, "size", tmp_path)
    shown = run_pytest("--stage", str(path), "-k", "vits16 and size", "--seed", "1")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    told = "These are not the weights of synthetic (revealing, seed 1): 175 of 175 tensors differ"
    assert told in shown.out and "the first: cls_token" in shown.out and "departs" not in shown.out


# Whose weights a file holds


@pytest.fixture(scope="module")
def two_blocks():
    return BlockSubset(Synthetic(VARIANTS["vits16"]), (0, 6))


def _as_exported(checkpoint, kind=np.float32):
    """As exporters store them: transposed, q, k and v apart, k's bias left out, in a type of theirs."""
    for name, value in checkpoint.items():
        value = value.astype(kind)
        parts = np.split(value, 3) if name.endswith(("qkv.weight", "qkv.bias")) else [value]
        kept = parts[::2] if name.endswith("qkv.bias") else parts
        yield from (part.T for part in kept)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_weights_are_found_however_they_are_stored(two_blocks, kind):
    stored = _as_exported(two_blocks, kind)
    found = differing_of_any(stored, two_blocks.variant, two_blocks)
    assert found.names == ("blocks.0.attn.qkv.bias", "blocks.1.attn.qkv.bias"), "k's is masked"
    assert not found.foreign


def test_a_single_tensor_that_differs_is_named_and_no_other_checkpoint(two_blocks):
    changed = {name: value for name, value in two_blocks.items()}
    changed["norm.bias"] = changed["norm.bias"] + np.float32(1e-3)
    found = differing_of_any(changed.values(), two_blocks.variant, two_blocks)
    assert found.names == ("norm.bias",) and not found.foreign


def test_other_weights_are_foreign(two_blocks):
    other = BlockSubset(Synthetic(VARIANTS["vits16"], 1), (0, 6))
    found = differing_of_any(_as_exported(other), two_blocks.variant, two_blocks)
    assert found.foreign and len(found.names) == found.of
    assert "These are not the weights of" in str(found) and "the first: cls_token" in str(found)
    assert {value.size for value in _as_exported(other) if value.size > 1} <= sizes(other.variant)


# What is read off a file


def _file(folder, name="in.onnx", count=197, **parts):
    weight = numpy_helper.from_array(np.zeros((1, count, 384), "f4"), "w")
    path = folder / name
    path.write_bytes(tokens_of(weights=[weight], **parts).SerializeToString())
    return path


@pytest.mark.parametrize(("count", "registers"), [(197, False), (201, True)])
def test_what_is_returned_is_seen_where_its_shape_does_not_tell(tmp_path, count, registers):
    path = _file(tmp_path, count=count, tokens=("B", "N", 384))
    assert ("registers" not in from_file(str(path)).hidden()) == registers


@pytest.mark.parametrize(
    ("images", "takes"),
    [
        (("B", 3, 224, "W"), Takes(((14, 14),), ())),
        ((3, 3, 32, "W"), Takes(((2, 14),), (3,))),
    ],
)
def test_a_side_that_is_open_is_that_of_the_example(tmp_path, images, takes):
    count = 1 + takes.grids[0][0] * takes.grids[0][1]
    batch = takes.batches[0] if takes.batches else 1
    weight = numpy_helper.from_array(np.zeros((batch, count, 384), "f4"), "w")
    path = tmp_path / "in.onnx"
    model = tokens_of(weights=[weight], images=images, tokens=("B", "N", 384))
    path.write_bytes(model.SerializeToString())
    assert from_file(str(path)).takes == takes


def test_what_returns_no_tokens_is_refused(tmp_path):
    path = _file(tmp_path, count=50, tokens=("B", "N", 384))
    with pytest.raises(ParityError, match=re.escape("returns (1, 50, 384) of images")) as told:
        from_file(str(path))
    assert "Export a file that returns these" in in_a_paragraph(told.value)


@pytest.mark.parametrize("absent", [["onnxruntime"], ["onnx", "onnxruntime"]])
def test_what_is_not_installed_is_told_with_the_line_that_installs_it(monkeypatch, absent):
    monkeypatch.setattr(extras, "missing", lambda names: absent)
    with pytest.raises(ParityError, match="not installed") as told:
        from_file("any.onnx")
    assert in_a_paragraph(told.value).endswith(f"{extras.line(absent)}.")


# Names


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("eqx_dinov3_vit_S16", "eqx_dinov3_vit_s16"),
        ("Mein Modell v1.2", "mein-modell-v1-2"),
        ("vits16", "file-vits16"),
        ("onnx", "file-onnx"),
        ("Backbone", "file-backbone"),
        ("not", "file-not"),
        ("2024", "file-2024"),
        ("模型", "file"),
    ],
)
def test_a_files_name_is_made_one_that_k_can_say(stem, name):
    assert called(stem) == name


def test_two_files_of_one_name_are_told_apart(run_pytest, vits16, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        exported(vits16, "size", tmp_path / folder)
    asked = [word for one in ("a", "b") for word in ("--stage", str(tmp_path / one / "size.onnx"))]
    shown = run_pytest(*asked, "-k", "size")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "is called size, as the stage of --stage" in shown.out and "Rename the file" in shown.out
    named = run_pytest(*asked, "-k", "mine", "--stage-name", "mine")
    assert "names the stage of one --stage-command, or of one ONNX file" in named.out


# What it needs


WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in NOT:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

NOT = "torch PIL sklearn jax equinox equimo jax2onnx onnx_ir transformers lz4".split()
sys.meta_path.insert(0, Nothing())
sys.path.insert(0, "fixtures/package")
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.fixtures.pytest_plugin import options
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.chosen import SMALL

port, checkpoint = from_file({path!r}), Synthetic(VARIANTS["vits16"])
port.check_weights(checkpoint.variant, checkpoint)
print(port.name, *sorted(port.opened(checkpoint.variant, checkpoint).features(SMALL.images())))
"""


def test_a_file_is_held_without_what_other_stages_need(run_python, vits16, tmp_path):
    path = exported(vits16, "size", tmp_path)
    said = run_python(WITHOUT.format(path=str(path)))
    assert said.split() == ["size", "cls", "norm", "patches", "pooled", "registers"]
