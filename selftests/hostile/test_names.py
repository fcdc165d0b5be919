"""Files of any name go through the steps, and an error about one is one line."""

import os
import shutil
from pathlib import Path

import pytest

from selftests.support.hostile.archives import (
    contents,
)
from selftests.support.hostile.places import READ, read_words

NAMES = {
    "spaces": "my own  weights",
    "a space at each end": " weights ",
    "quotes": 'it\'s "mine"',
    "shell's words": "x; touch canary; $(touch canary) `touch canary` | & > canary",
    "shell's patterns": "*?[a-z]{a,b}~$HOME",
    "a leading dash": "-rf",
    "a line's end": "two\nlines",
    "a terminal's commands": "\x1b[2J\x1b]0;title\x07",
    "markup": "<img src=x onerror=alert(1)>&amp;",
    "format's words": "%s%n{0}{x!r}",
    "other scripts": "веса-重み-أوزان-𝔴",
    "letters that turn the line around": "\u202etxt\u2066",
    "letters of two code points": "e\u0301-e\u0301",
    "a backslash": "\\server\\weights",
}


@pytest.mark.parametrize("case", NAMES)
def test_a_file_of_any_name_goes_through_the_steps(room, case, monkeypatch):
    name = NAMES[case]
    weights = room.inputs / f"{name}.pth"
    shutil.copy(room.good.pth, weights)
    archive, eqx = room.out / f"{name}.tar.lz4", room.out / f"{name}.eqx"
    room.look()
    monkeypatch.chdir(room.inputs)
    assert room.told("convert", f"--weights={weights.name}", "--output", archive).code == 0
    monkeypatch.chdir(room.out)
    assert room.told("map", f"--weights={archive.name}", f"--output={eqx.name}").code == 0
    assert contents(archive)["weights.eqx"] == room.good.weights
    assert eqx.read_bytes() == room.good.eqx.read_bytes()
    room.unchanged()
    assert sorted(room.out.iterdir()) == sorted([archive, eqx])


@pytest.mark.parametrize("case", NAMES)
def test_an_error_about_a_file_of_any_name_is_one_line(room, case):
    file = room.inputs / f"{NAMES[case]}.onnx"
    file.write_bytes(b"no model")
    words = ["compare", "--weights", room.good.pth, "--onnx", file]
    room.refused(*words, file=file, says="is not an ONNX file")


BYTES = os.fsdecode(b"\xff\xfe-weights")


@pytest.mark.parametrize("ending", READ)
def test_a_name_that_is_no_text_is_refused(room, ending):
    """Neither torch nor onnxruntime opens a file of such a name."""
    file = room.inputs / f"{BYTES}.{ending}"
    file.write_bytes(b"anything")
    room.refused(*read_words(room, ending, file), file=file, says="no text in UTF-8; rename it")


def test_a_result_whose_name_is_no_text_is_refused(room):
    file = room.out / f"{BYTES}.eqx"
    room.refused("map", "--weights", room.good.archive, "--output", file, file=file,
                 says="no text in UTF-8; rename it")  # fmt: skip


@pytest.mark.parametrize("case", ["spaces", "shell's words", "a line's end", "other scripts"])
def test_files_of_any_name_are_compared(room, case):
    file = room.inputs / f"{NAMES[case]}.onnx"
    shutil.copy(room.good.onnx, file)
    eqx = Path(shutil.copy(room.good.eqx, file.with_suffix(".eqx")))
    assert room.told("compare", "--weights", room.good.pth, "--onnx", file, "--eqx", eqx).code == 0


def test_an_export_of_any_name_keeps_its_data_beside_it(room):
    file = room.out / "a b; 重み $(touch canary) <b>.onnx"
    room.look()
    words = ["export", "--eqx", room.good.eqx, "--output", file, "--external-data", "--dynamic-b"]
    assert room.told(*words).code == 0
    room.unchanged()
    assert sorted(path.name for path in room.out.iterdir()) == [file.name, f"{file.name}.data"]
    assert room.told("compare", "--weights", room.good.pth, "--onnx", file).code == 0


@pytest.mark.parametrize("name", ["~nobody-of-this-name/in.pth", "~nobody-of-this-name"])
@pytest.mark.parametrize("option", ["--weights", "--output"])
def test_a_home_that_nobody_has_is_told(room, name, option):
    words = {"--weights": room.good.archive, "--output": room.out / "made.eqx"} | {option: name}
    room.refused("map", *(word for pair in words.items() for word in pair), file=Path(name),
                 says="Give the path from the root")  # fmt: skip
