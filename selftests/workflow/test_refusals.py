"""What the commands cannot take is told in one paragraph and leaves nothing."""

import io
import json
import tarfile
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.workflow import comparison
from dinov3_parity.parity.families import VARIANTS

from selftests.support.commands import answered, seen


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
    with target.open("wb") as stream:
        np.save(stream, np.array([{}], object), allow_pickle=True)
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
    room.pth, room.archive, room.eqx, room.onnx = pth, archive, eqx_file, onnx_file
    says, words = BAD[case]
    words = [str(word) for word in words(room)]
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
