"""Safetensors, their index and what lies beside them are not believed."""

import json
import shutil
from pathlib import Path

import pytest
from dinov3_parity.fixtures.checkpoints import shards

from selftests.support.hostile.files import sparse
from selftests.support.hostile.places import fifo
from selftests.support.hostile.pth import safetensors
from selftests.support.hostile.room import SAT, SMALL


def _first(table):
    return next(name for name in table if name != "__metadata__")


def _set(key, value):
    """Change a tensor's entry in the table."""
    return lambda table: table[_first(table)].__setitem__(key, value)


def _twice(table):
    """The text of a table in which a name stands twice, of other bytes the first time."""
    name = _first(table)
    again = json.dumps({name: table[name] | {"data_offsets": [0, 4]}})[1:-1]
    return f"{{{again},{json.dumps(table)[1:]}".encode()


def _overlapping(table):
    first, second = list(table)[-2:]
    table[second]["data_offsets"] = table[first]["data_offsets"]


TABLES = {
    "no JSON": lambda table: b"{'a': 1}",
    "a list": lambda table: b"[]",
    "ten thousand lists within each other": lambda table: b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}",
    "bytes that are no text": lambda table: b"\xff\xfe{}",
    "no tensors": lambda table: b"{}",
    "a name twice": _twice,
    "overlapping numbers": _overlapping,
    "offsets that run backwards": _set("data_offsets", [8, 4]),
    "offsets below the begin": _set("data_offsets", [-4, 4]),
    "offsets of terabytes": _set("data_offsets", [0, 1 << 42]),
    "offsets beyond 64 bits": _set("data_offsets", [0, 1 << 70]),
    "a shape of terabytes": _set("shape", [1 << 40]),
    "a shape whose product wraps around": _set("shape", [1 << 33, 1 << 33]),
    "a shape below zero": _set("shape", [-1]),
    "a type that there is none of": _set("dtype", "PICKLE"),
    "a type of objects": _set("dtype", "O"),
    "numbers of half the width": _set("dtype", "F16"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_table_of_safetensors_is_refused(room, case):
    file = room.inputs / "in.safetensors"
    safetensors(file, room.good.shards, TABLES[case])
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="cannot be read|no DINOv3|twice")  # fmt: skip


@pytest.mark.parametrize("length", [1 << 32, 1 << 40, (1 << 64) - 1])
def test_a_table_of_terabytes_is_not_read(room, length):
    file = room.inputs / "in.safetensors"
    sparse(file, 1 << 20, length.to_bytes(8, "little") + b"{}")
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="cannot be read")  # fmt: skip


def test_safetensors_of_a_terabyte_are_not_hashed(room):
    file = room.inputs / "in.safetensors"
    sparse(file)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="larger than any release")  # fmt: skip


INDEXES = {
    "ten thousand lists within each other": b"[" * 100000,
    "a number of ten thousand digits": b'{"weight_map": {"a": ' + b"1" * 10000 + b"}}",
    "bytes that are no text": b'{"weight_map": {"a": "\xff"}}',
    "an absolute name": b'{"weight_map": {"a": "/etc/passwd"}}',
    "a name with a zero in it": b'{"weight_map": {"a": "x\\u0000y.safetensors"}}',
    "a name with half a letter": b'{"weight_map": {"a": "\\ud800.safetensors"}}',
    "a name that is too long": b'{"weight_map": {"a": "' + b"n" * 5000 + b'"}}',
    "a terminal's commands": b'{"weight_map": {"a": "\\u001b[2J\\n.safetensors"}}',
    "a hundred thousand names": json.dumps(
        {"weight_map": {f"{i}": f"{i}.s" for i in range(10**5)}}
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_is_refused(room, case):
    file = room.inputs / shards.INDEX
    file.write_bytes(INDEXES[case])
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file, says=".")


PREPROCESSORS = {
    "ten thousand lists within each other": lambda path: path.write_text("[" * 100000),
    "a number beyond all": lambda path: path.write_text(json.dumps({"image_mean": [10**400]})),
    "a pipe that nobody writes to": fifo,
    "a terabyte": sparse,
}


@pytest.mark.parametrize("case", PREPROCESSORS)
def test_what_lies_beside_safetensors_is_not_believed(room, case, monkeypatch):
    """It is read where two releases have the same tensors; here there are such two."""
    monkeypatch.setattr(shards, "VARIANTS", {"small": SMALL, "small_sat": SAT})
    PREPROCESSORS[case](room.inputs / shards.PREPROCESSOR)
    file = Path(shutil.copy(room.good.shards, room.inputs / "in.safetensors"))
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="either dataset")  # fmt: skip
