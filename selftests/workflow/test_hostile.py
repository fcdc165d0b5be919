"""Hostile and damaged files: refused in one paragraph, nothing run, nothing written, nothing lost.

Every case goes through a real command in a room that is watched: see ``hostile``. What is odd and
yet sound gives the right result.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import socket
import struct
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import lz4.frame
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dinov3_parity.fixtures.checkpoints import release, shards
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from selftests.support import hostile
from selftests.support.hostile import (
    Good,
    Room,
    SAT,
    SMALL,
    after,
    cut,
    flipped,
    headed,
    headers,
    instead,
    leaves,
    member,
    outside,
    packed,
    pickled,
    rebuilt,
    records,
    safetensors,
    saved,
    serialised,
    sparse,
    tarred,
    tokens_of,
    zipped,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _small_variants():
    with pytest.MonkeyPatch.context() as patch:
        hostile.known(patch)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The sound files of every step, made by the commands themselves."""
    base = tmp_path_factory.mktemp("hostile")
    made = Good(base / "good", base / "store", Synthetic(SMALL))
    made.folder.mkdir()
    release.write(made.checkpoint, made.pth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DINOV3_PARITY_STORE", str(made.store))
        for words in (
            ["convert", "--weights", made.pth, "--output", made.archive],
            ["map", "--weights", made.archive, "--output", made.eqx],
            ["export", "--eqx", made.eqx, "--output", made.onnx],
            ["compare", "--weights", made.pth, "--onnx", made.onnx, "--equimo", made.archive,
             "--eqx", made.eqx],
        ):  # fmt: skip
            assert hostile.main([words[0], "--variant", SMALL.name, *map(str, words[1:])]) == 0
    _publish(made)
    assert made.artifacts
    return made


def _publish(made: Good) -> None:
    """The same numbers as Hugging Face publishes them."""
    from safetensors.numpy import save_file

    from selftests.support import hugging_face

    made.shards.parent.mkdir()
    state = hugging_face.state(made.checkpoint)
    save_file({name: value.numpy() for name, value in state.items()}, made.shards)


@pytest.fixture
def room(good, tmp_path, capfd, monkeypatch):
    """A place for one hostile file; home, temporary files and the working directory are in it."""
    for name in ("in", "out", "tmp", "home", "cwd"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DINOV3_PARITY_STORE", str(good.store))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "cwd")
    yield Room(tmp_path, good, capfd)
    assert not list((tmp_path / "tmp").iterdir()), "temporary files stay behind"


# .pth: code in a pickle, of every kind that pickle has

_RUN = {
    "a call of os.system": lambda order: b"cos\nsystem\n(S'%s'\ntR." % order,
    "a call by its C module": lambda order: b"cposix\nsystem\n(S'%s'\ntR." % order,
    "a name from the stack": lambda order: (
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(order)]) + order + b"\x85R."
    ),
    "eval": lambda order: b'cbuiltins\neval\n(S\'__import__("os").system("%s")\'\ntR.' % order,
    "exec": lambda order: b"cbuiltins\nexec\n(S'import os; os.system(\"%s\")'\ntR." % order,
    "getattr of a permitted module": lambda order: (
        b"cbuiltins\ngetattr\n(ctorch._utils\n_rebuild_tensor_v2\nS'__globals__'\ntR."
    ),
    "an old instance": lambda order: b"(S'%s'\nios\nsystem\n." % order,
    "an old object": lambda order: b"(cos\nsystem\nS'%s'\no." % order,
    "a new object": lambda order: b"csubprocess\nPopen\n((S'touch'\nS'x'\nltt\x81.",
    "torch.load of another file": lambda order: b"ctorch\nload\n(S'other.pth'\ntR.",
    "a library of the attacker's": lambda order: b"cctypes\nCDLL\n(S'/tmp/evil.so'\ntR.",
    "an extension's code": lambda order: b"\x82\x01.",
}


@pytest.mark.parametrize("kind", _RUN)
def test_a_pickle_with_code_is_not_run(room, kind):
    file = room.inputs / "in.pth"
    pickled(file, _RUN[kind](room.order.encode()))
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="Nothing of it was run|cannot be read")  # fmt: skip


@pytest.mark.parametrize("kind", ["a call of os.system", "a name from the stack", "eval"])
def test_code_behind_a_sound_state_dict_is_not_run(room, kind):
    file = room.inputs / "in.pth"
    program = _RUN[kind](room.order.encode()).removeprefix(b"\x80\x04")
    pickled(file, after(room.good.pth, program[:-1]), room.good.pth)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="Nothing of it was run")  # fmt: skip


class _Bomb:
    def __init__(self, order):
        self.order = order

    def __reduce__(self):
        return os.system, (self.order,)


def _old_torch(room, file):
    """As torch wrote before 1.6, with code in the state dict."""
    import torch

    torch.save({"cls_token": torch.zeros(1), "x": _Bomb(room.order)}, file,
               _use_new_zipfile_serialization=False)  # fmt: skip


def _oldest_torch(room, file):
    """As torch wrote before 0.1.10: a tar of pickles."""
    with tarfile.open(file, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(_Bomb(room.order))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _scripted(room, file):
    """A TorchScript archive is a zip as well, with source code in it."""
    program = b"def forward(self):\n  return 1\n"
    held = records(room.good.pth)
    held |= {"good/constants.pkl": b"\x80\x02).", "good/code/__torch__.py": program}
    zipped(file, held.items())


def _changed(room, file, **other):
    saved(file, room.good.checkpoint, **other)


def _renamed(room, file, change):
    """The state dict under other names."""
    import torch

    tensors = {n: torch.from_numpy(np.array(v)) for n, v in room.good.checkpoint.items()}
    torch.save({change(name): value for name, value in tensors.items()}, file)


def _record(room, file, number, content):
    """One tensor's bytes are others."""
    held = records(room.good.pth)
    name = next(n for n in held if n.endswith(f"/data/{number}"))
    zipped(file, (held | {name: content(held[name])}).items())


def _repickled(room, file, old, new):
    """Bytes of the pickle replaced by others."""
    held = records(room.good.pth)
    name = next(n for n in held if n.endswith("data.pkl"))
    assert old in held[name]
    pickled(file, held[name].replace(old, new, 1), room.good.pth)


def _torch(name):
    import torch

    return getattr(torch, name)


def _norm(room, dtype="float32"):
    return _torch("from_numpy")(np.array(room.good.checkpoint["norm.weight"])).to(_torch(dtype))


def _doubled(room, file):
    held = records(room.good.pth)
    name, content = next((n, c) for n, c in held.items() if n.endswith("/data/3"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zipped(file, [*held.items(), (name, bytes(len(content)))])


def _with_members(room, file, *names):
    zipped(file, [*records(room.good.pth).items(), *((name, b"x") for name in names)])


def _packed_zeros(room, file):
    """A record of a gigabyte in a megabyte of zip."""
    held = records(room.good.pth)
    name = next(n for n in held if n.endswith("/data/0"))
    zipped(file, (held | {name: bytes(300 << 20)}).items(), packed=True)


def _lying_directory(room, file):
    """The zip's directory says that the pickle is three gigabytes."""
    shutil.copy(room.good.pth, file)
    content = bytearray(file.read_bytes())
    place = content.find(b"PK\x01\x02")
    struct.pack_into("<II", content, place + 20, 3 << 30, 3 << 30)
    file.write_bytes(content)


def _sparse_tensor(room):
    return _norm(room).to_sparse()


PTH = {
    "an old torch's, with code": (_old_torch, "cannot be read|Nothing of it was run"),
    "the oldest torch's, with code": (_oldest_torch, "cannot be read|Nothing of it was run"),
    "a program of TorchScript": (_scripted, "cannot be read|was refused"),
    "empty": (lambda r, f: f.touch(), "0 bytes"),
    "one byte": (lambda r, f: f.write_bytes(b"P"), "cannot be read"),
    "a zip of nothing": (lambda r, f: zipped(f, []), "cannot be read"),
    "a terabyte of nothing": (lambda r, f: sparse(f), "larger than any release"),
    "a zip's begin and a terabyte of nothing": (
        lambda r, f: sparse(f, begin=r.good.pth.read_bytes()[:5000]), "larger than any release",
    ),
    "a member that unpacks to three hundred times its size": (_packed_zeros, "packed"),
    "a directory that claims gigabytes": (_lying_directory, "damaged|cannot be read"),
    "a member twice": (_doubled, "twice"),
    "a member at an absolute path": (
        lambda r, f: _with_members(r, f, "/tmp/dinov3-parity-evil"), "cannot be read",
    ),
    "a member above": (lambda r, f: _with_members(r, f, "../../evil"), "cannot be read"),
    "a storage shorter than its tensor": (
        lambda r, f: _record(r, f, 3, lambda c: c[:-4]), "damaged",
    ),
    "a storage that is not there": (
        lambda r, f: zipped(f, [m for m in records(r.good.pth).items() if "/data/3" not in m[0]]),
        "cannot be read",
    ),
    "a storage of trillions of numbers": (
        lambda r, f: _repickled(r, f, b"K\x80tq", b"\x8a\x06\x00\x00\x00\x00\x00\x01tq"),
        "cannot be read|damaged",
    ),
    "a storage of fewer than no numbers": (
        lambda r, f: _repickled(r, f, b"K\x80tq", b"J\xff\xff\xff\xfftq"), "cannot be read|damaged",
    ),
    "a tensor that begins before its storage": (
        lambda r, f: _repickled(r, f, b"QK\x00K\x80\x85", b"QJ\xff\xff\xff\xffK\x80\x85"),
        "cannot be read|damaged",
    ),
    "a tensor that begins behind its storage": (
        lambda r, f: _repickled(r, f, b"QK\x00K\x80\x85", b"QJ\x00\x00\x00\x10K\x80\x85"),
        "cannot be read|damaged",
    ),
    "a tensor of terabytes, each number the same": (
        lambda r, f: _changed(r, f, norm__weight=_torch("zeros")(1).expand(1 << 40)),
        r"norm.weight \(1099511627776,\) instead of \(128,\)",
    ),
    "one name only, of terabytes": (
        lambda r, f: _torch("save")({"x": _torch("zeros")(1).expand(1 << 40, 1 << 20)}, f),
        "no DINOv3 ViT release",
    ),
    "NaN": (lambda r, f: _changed(r, f, norm__weight=_norm(r) * float("nan")), "NaN or infinite"),
    "minus infinity": (
        lambda r, f: _changed(r, f, cls_token=_torch("full")((1, 1, 128), -float("inf"))),
        "NaN or infinite",
    ),
    "float16": (lambda r, f: _changed(r, f, norm__weight=_norm(r, "float16")), "norm.weight float16"),
    "bfloat16": (
        lambda r, f: _changed(r, f, norm__weight=_norm(r, "bfloat16")), "norm.weight bfloat16",
    ),
    "float64": (lambda r, f: _changed(r, f, norm__weight=_norm(r, "float64")), "norm.weight float64"),
    "int32": (lambda r, f: _changed(r, f, norm__weight=_norm(r, "int32")), "norm.weight int32"),
    "complex numbers": (
        lambda r, f: _changed(r, f, norm__weight=_norm(r, "complex64")), "norm.weight complex64",
    ),
    "truth values": (lambda r, f: _changed(r, f, norm__weight=_norm(r, "bool")), "norm.weight bool"),
    "a sparse tensor": (
        lambda r, f: _changed(r, f, norm__weight=_sparse_tensor(r)), "norm.weight .*sparse",
    ),
    "a tensor without numbers": (
        lambda r, f: _changed(r, f, norm__weight=_torch("empty")(128, device="meta")),
        "norm.weight .*meta",
    ),
    "a name missing": (lambda r, f: _changed(r, f, cls_token=None), "1 missing: cls_token"),
    "a name too many": (
        lambda r, f: _changed(r, f, head__bias=_norm(r)), "1 unexpected: head.bias",
    ),
    "names with markup and a terminal's commands": (
        lambda r, f: _renamed(r, f, lambda n: f"<script>alert(1)</script>\x1b[2J\r\n{n}"),
        r"<script>alert\(1\)</script>\\x1b\[2J\\r\\n",
    ),
    "a name of a megabyte": (lambda r, f: _renamed(r, f, lambda n: n + "x" * 10**6), "no DINOv3"),
    "names that are numbers": (lambda r, f: _torch("save")({1: _norm(r)}, f), "not a state dict"),
    "a list": (lambda r, f: _torch("save")([_norm(r)], f), "not a state dict"),
    "a state dict within another": (
        lambda r, f: _torch("save")({"model": {"cls_token": _norm(r)}}, f), "not a state dict",
    ),
    "a state dict of nothing": (lambda r, f: _torch("save")({}, f), "no DINOv3 ViT release"),
    "ten thousand lists within each other": (
        lambda r, f: pickled(f, b"\x80\x02" + b"]" * 10000 + b"a" * 9999 + b"."),
        "not a state dict|cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PTH)
def test_a_pth_is_refused(room, case):
    make, says = PTH[case]
    file = room.inputs / "in.pth"
    make(room, file)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file, says=says)


def _of(variant, file):
    release.write(Synthetic(variant), file)


NAMED = {
    "another variant than the name's": (
        lambda r: "dinov3_vits16plus_pretrain_lvd1689m-4057cbaa.pth", "does not hold vits16plus",
    ),
    "another dataset than the name's": (
        lambda r: "dinov3_small_pretrain_sat493m-00000000.pth", "does not hold small_sat.*missing: local",
    ),
    "another hash than the name's": (
        lambda r: "dinov3_small_pretrain_lvd1689m-00000000.pth", "its name says 00000000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_a_name_that_claims_something_else_is_held_to_it(room, case):
    name, says = NAMED[case]
    file = room.inputs / name(room)
    shutil.copy(room.good.pth, file)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file, says=says)


def test_weights_of_another_dataset_are_not_converted_as_the_asked_ones(room):
    file = room.inputs / "in.pth"
    _of(SAT, file)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="holds small_sat")  # fmt: skip


# Places in a release's stead


def _fifo(path):
    os.mkfifo(path)


def _socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _circle(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


PLACES = {
    "a folder": Path.mkdir,
    "a pipe that nobody writes to": _fifo,
    "a socket": _socket,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "links in a circle": _circle,
    "a link to a pipe": lambda path: (_fifo(path.parent / "pipe"), path.symlink_to("pipe")),
}
READ = {
    "pth": ("convert", "--weights"), "safetensors": ("convert", "--weights"),
    "tar.lz4": ("map", "--weights"), "eqx": ("export", "--eqx"), "onnx": ("compare", "--onnx"),
}  # fmt: skip


def _read(room, ending, file):
    """The words of a command that reads a file of this ending."""
    command, option = READ[ending]
    rest = ["--weights", room.good.pth] if command == "compare" else ["--output", room.out / "made"]
    return [command, option, file, *rest]


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_not_waited_for(room, place, ending):
    file = room.inputs / f"in.{ending}"
    PLACES[place](file)
    room.refused(
        *_read(room, ending, file),
        file=file,
        says="here is no|holds neither",
    )


@pytest.mark.parametrize("ending", READ)
def test_a_name_longer_than_a_file_can_have_is_told(room, ending):
    file = room.inputs / f"{'n' * 300}.{ending}"
    room.refused(*_read(room, ending, file), file=file, says="here is no|too long")


@pytest.fixture
def bound_by_modes():
    if not os.geteuid():
        pytest.skip("root is bound by no file's mode: run as a user (test_machine asks as nobody)")


@pytest.mark.parametrize("ending", READ)
def test_a_file_that_may_not_be_read_is_told(room, bound_by_modes, ending):
    file = room.inputs / f"in.{ending}"
    sound = {"pth": room.good.pth, "safetensors": room.good.shards, "tar.lz4": room.good.archive}
    shutil.copy(sound.get(ending, getattr(room.good, ending, None)), file)
    file.chmod(0o000)
    room.refused(*_read(room, ending, file), file=file, says="Permission denied")


# Damage at many places


def _outcome(room, file, *words, expected):
    """Refused like any bad file; or, where the damage hit nothing that counts, what the sound file
    gives."""
    room.look()
    made = room.out / "made.tar.lz4"
    told = room.told(*words, "--output", made)
    if told.code == 2:
        hostile.paragraph(told.err.strip(), file)
        assert not made.exists()
    else:
        assert told.code == 0 and hostile.contents(made)["weights.eqx"] == expected, told
        made.unlink()
    room.unchanged()
    return told.code


def _regions(pth):
    """Bits of a checkpoint by what they are: headers and pickle, the numbers, the directory."""
    content = pth.read_bytes()
    directory = content.find(b"PK\x01\x02")
    with zipfile.ZipFile(pth) as opened:
        first = next(i for i in opened.infolist() if "/data/" in i.filename)
    return {
        "pickle": (0, first.header_offset), "numbers": (first.header_offset + 200, directory),
        "directory": (directory, len(content)),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("region", ["pickle", "numbers", "directory"])
def test_a_pth_with_a_flipped_bit_is_refused_or_reads_right(room, region, seed):
    """The zip's own checksums tell damage in the numbers from another checkpoint."""
    begin, end = _regions(room.good.pth)[region]
    draw = random.Random(f"{region} {seed}")
    codes = []
    for _ in range(25):
        file = room.inputs / "in.pth"
        flipped(file, room.good.pth, draw.randrange(8 * begin, 8 * end))
        codes.append(_outcome(room, file, "convert", "--weights", file,
                              expected=room.good.weights))  # fmt: skip
    assert codes.count(2) >= {"pickle": 10, "numbers": 20, "directory": 3}[region], codes


@pytest.mark.parametrize("ending", READ)
def test_a_file_that_is_cut_off_anywhere_is_refused(room, ending):
    sound = {"pth": room.good.pth, "safetensors": room.good.shards, "tar.lz4": room.good.archive}
    sound = sound.get(ending, getattr(room.good, ending, None))
    length, draw = sound.stat().st_size, random.Random(ending)
    file = room.inputs / f"in.{ending}"
    for size in [0, 1, 7, 8, 9, 130, length - 1, *(draw.randrange(length) for _ in range(12))]:
        cut(file, sound, size)
        room.refused(*_read(room, ending, file), file=file, says=".")


# .safetensors


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
    "a pipe that nobody writes to": _fifo,
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


@pytest.mark.parametrize("seed", range(2))
def test_a_flipped_bit_in_the_table_of_safetensors_is_refused_or_changes_nothing(room, seed):
    """The numbers have no checksum in this format: another number is another checkpoint."""
    made = room.out / "made.tar.lz4"
    assert room.told("convert", "--weights", room.good.shards, "--output", made).code == 0
    expected = hostile.contents(made)["weights.eqx"]
    made.unlink()
    content = room.good.shards.read_bytes()
    end, draw = 8 + int.from_bytes(content[:8], "little"), random.Random(seed)
    codes = []
    for _ in range(25):
        file = room.inputs / "in.safetensors"
        flipped(file, room.good.shards, draw.randrange(8 * end))
        codes.append(_outcome(room, file, "convert", "--weights", file, expected=expected))
    assert codes.count(2) > 15, codes


# .tar.lz4


def _beside(*extra, **how):
    """The sound members, and others before them."""
    return lambda room, file: tarred(
        file,
        [*extra, *(member(*one) for one in hostile.contents(room.good.archive).items())],
        **how,
    )


def _metadata(text):
    return lambda room, file: rebuilt(file, room.good.archive, metadata=text)


def _config(**changed):
    def make(room, file):
        told = hostile.model_config(room.good.archive)
        told["model_config"] |= changed
        rebuilt(file, room.good.archive, metadata=json.dumps(told).encode())

    return make


def _leaf(place, other, **saving):
    """Another leaf among Equimo's."""

    def make(room, file):
        weights = hostile.contents(room.good.archive)["weights.eqx"]
        new = other(leaves(weights)[place]) if callable(other) else other
        rebuilt(file, room.good.archive, weights=instead(weights, place, new))

    return make


def _holes(room, file):
    """A member of a terabyte that is nothing but holes: the stream itself is short."""
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "weights.eqx",
           "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,512",
           "GNU.sparse.numblocks": "1"}  # fmt: skip
    held = hostile.contents(room.good.archive)
    tarred(file, [member("metadata.json", held["metadata.json"]),
                  member("weights.eqx", bytes(512), pax_headers=pax)])  # fmt: skip


def _nested_frames(room, file):
    """Zeros packed again and again: each layer is another archive's."""
    content = bytes(64 << 20)
    for _ in range(3):
        content = lz4.frame.compress(content)
    file.write_bytes(content)


def _pickled_leaf():
    stream = io.BytesIO()
    np.save(stream, np.array([_Bomb("touch it-ran")], object), allow_pickle=True)
    return stream.getvalue()


def _bad_header(shape):
    return headed(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode())


FOREIGN = "Nothing of it was unpacked"
ARCHIVES = {
    "an absolute name": (_beside(member("/tmp/dinov3-parity-evil", b"x")), FOREIGN),
    "a name above": (_beside(member("../evil", b"x")), FOREIGN),
    "a name that goes down and up": (_beside(member("a/../../evil", b"x")), FOREIGN),
    "a sound name, from above": (_beside(member("../in/weights.eqx", b"x")), FOREIGN),
    "a link to a file elsewhere": (
        _beside(member("weights.eqx", type=tarfile.SYMTYPE, linkname="/etc/passwd")), FOREIGN,
    ),
    "a link to a folder above": (
        _beside(member("metadata.json", type=tarfile.SYMTYPE, linkname="..")), FOREIGN,
    ),
    "a hard link": (
        _beside(member("weights.eqx", type=tarfile.LNKTYPE, linkname="metadata.json")), FOREIGN,
    ),
    "a hard link to a file elsewhere": (
        _beside(member("metadata.json", type=tarfile.LNKTYPE, linkname="/etc/passwd")), FOREIGN,
    ),
    "a device": (_beside(member("weights.eqx", type=tarfile.CHRTYPE, devmajor=1, devminor=5)), FOREIGN),
    "a disk": (_beside(member("weights.eqx", type=tarfile.BLKTYPE, devmajor=8)), FOREIGN),
    "a pipe": (_beside(member("weights.eqx", type=tarfile.FIFOTYPE)), FOREIGN),
    "a folder of a member's name": (_beside(member("weights.eqx", type=tarfile.DIRTYPE)), FOREIGN),
    "a member of no known kind": (_beside(member("weights.eqx", type=b"Z")), "was refused|damaged"),
    "a member twice": (_beside(member("metadata.json", b"{}")), FOREIGN),
    "a terminal's commands for a name": (_beside(member("\x1b[2J\r\nx", b"x")), r"\\x1b\[2J"),
    "markup for a name": (_beside(member("<script>x</script>", b"x")), FOREIGN),
    "bytes that are no text for a name": (
        _beside(member("\udcff\udcfe", b"x"), format=tarfile.GNU_FORMAT), FOREIGN,
    ),
    "ten thousand members": (
        lambda r, f: tarred(f, (member(f"{i}") for i in range(10000))), FOREIGN,
    ),
    "a member of holes alone": (_holes, "holes"),
    "a gigabyte of nothing": (lambda r, f: packed(f, bytes(1 << 30)), "cannot be read|unpacks to more"),
    "frames within frames": (_nested_frames, "cannot be read"),
    "a member that unpacks to a gigabyte": (
        lambda r, f: tarred(f, [member("weights.eqx", bytes(1 << 29))]), "unpacks to more",
    ),
    "a header that claims terabytes": (
        lambda r, f: packed(f, _huge_member()), "cannot be read|damaged|was refused",
    ),
    "no frame at all": (lambda r, f: f.write_bytes(b"PK\x03\x04" * 999), "cannot be read"),
    "metadata that is no JSON": (_metadata(b"{"), "does not say how"),
    "metadata without end": (_metadata(b"[" * 100000), "does not say how"),
    "metadata of a number of ten thousand digits": (_metadata(b"1" * 10000), "does not say how"),
    "metadata that is a list": (_metadata(b"[]"), "does not say how"),
    "metadata in no text": (_metadata(b"\xff\xfe"), "does not say how"),
    "a configuration that is a text": (_metadata(b'{"model_config": "eps"}'), "does not say how"),
    "a configuration that is a list": (_metadata(b'{"model_config": ["eps"]}'), "does not say how"),
    "an eps of NaN": (_config(eps=float("nan")), "eps nan instead"),
    "an eps that is a text": (_config(eps="1e-5\n\x1b[2J"), "eps '1e-5"),
    "a number of heads that is huge": (_config(num_heads=10**400), "num_heads 1000"),
    "a configuration within a configuration": (_config(act_layer={"a": {"b": []}}), "act_layer {'a'"),
    "weights of NaN": (_leaf(1, lambda a: a * np.float32("nan")), "NaN or infinite"),
    "weights of objects": (_leaf(1, lambda a: _pickled_leaf()), "Python objects"),
    "weights of terabytes": (_leaf(1, lambda a: _bad_header((1 << 40,))), "instead of"),
    "weights of float64": (_leaf(1, lambda a: a.astype("f8")), "float64 instead of float32"),
    "weights of float16": (_leaf(1, lambda a: a.astype("f2")), "float16 instead of float32"),
    "weights of the other byte order": (_leaf(1, lambda a: a.astype(">f4")), "instead of float32"),
    "two leaves exchanged": (
        lambda r, f: rebuilt(f, r.good.archive, weights=_exchanged(r)), "instead of",
    ),
    "another variant's": (
        lambda r, f: rebuilt(f, r.good.archive, weights=serialised([np.zeros(3, "f4")])), "instead of",
    ),
}  # fmt: skip


def _huge_member():
    info = tarfile.TarInfo("weights.eqx")
    info.size = 1 << 50
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)


def _exchanged(room):
    found = leaves(hostile.contents(room.good.archive)["weights.eqx"])
    return serialised([found[-1], *found[1:-1], found[0]])


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_is_refused(room, case):
    make, says = ARCHIVES[case]
    file = room.inputs / "in.tar.lz4"
    make(room, file)
    room.refused("map", "--weights", file, "--output", room.out / "made.eqx", file=file, says=says)


@pytest.mark.parametrize(
    "case",
    ["a name above", "a link to a file elsewhere", "a member of holes alone", "weights of NaN"],
)
def test_compare_refuses_an_archive_as_map_does(room, case):
    make, says = ARCHIVES[case]
    file = room.inputs / "in.tar.lz4"
    make(room, file)
    room.refused("compare", "--weights", room.good.pth, "--equimo", file, file=file, says=says)


@pytest.mark.parametrize("seed", range(2))
def test_an_archive_with_a_flipped_bit_is_refused_or_reads_right(room, seed):
    """The frames that Equimo writes have no checksum, so that of its numbers only compare tells other
    ones; in frames that have one, every flip is told."""
    sound, begin = room.inputs / "sound.tar.lz4", room.good.archive.read_bytes()
    sound.write_bytes(lz4.frame.compress(lz4.frame.decompress(begin), content_checksum=True))

    def read(file):
        room.look()
        made = room.out / "made.eqx"
        told = room.told("map", "--weights", file, "--output", made)
        if told.code == 2:
            hostile.paragraph(told.err.strip(), file)
        else:
            assert told.code == 0 and made.read_bytes() == room.good.eqx.read_bytes()
            made.unlink()
        room.unchanged()
        return told.code

    draw, codes = random.Random(seed), []
    for _ in range(25):
        file = room.inputs / "in.tar.lz4"
        flipped(file, sound, draw.randrange(8 * sound.stat().st_size))
        codes.append(read(file))
    assert codes.count(2) > 20, codes


def test_other_numbers_in_an_archive_without_checksum_depart(room):
    file = room.inputs / "in.tar.lz4"
    _leaf(0, lambda leaf: -leaf)(room, file)
    told = room.told("compare", "--weights", room.good.pth, "--equimo", file)
    assert told.code == 1 and "equimo DEPARTS" in told.out


# .eqx


def _eqx(change):
    """The sound file's bytes, changed."""
    return lambda room, file: file.write_bytes(change(room.good.eqx.read_bytes()))


def _at(place, other):
    return _eqx(lambda c: instead(c, place, other(leaves(c)[place]) if callable(other) else other))


def _reheaded(text, version=(1, 0)):
    """The first array under another header."""

    def change(content):
        begin, end = headers(content)[0]
        sound = content[begin + 10 : end]
        return headed(text(sound), version) + content[end:]

    return _eqx(change)


EQX = {
    "an array of objects with code": (_at(0, lambda a: _pickled_leaf()), "Python objects"),
    "an array of objects behind sound ones": (_at(30, lambda a: _pickled_leaf()), "Python objects"),
    "a bare pickle with code": (
        lambda r, f: f.write_bytes(pickle.dumps(_Bomb(r.order))), "array 1 of .* is no array",
    ),
    "a zip of arrays": (lambda r, f: np.savez(f.open("wb"), np.zeros(3)), "is no array"),
    "a header with code": (
        _reheaded(lambda t: b"__import__('os').system('touch it-ran')\n"), "is no array",
    ),
    "a header of a version that no file of Equinox's has": (
        _reheaded(lambda t: t, (3, 0)), "is no array",
    ),
    "a header of version 9": (_reheaded(lambda t: t, (9, 9)), "is no array"),
    "a header of a thousand brackets": (_reheaded(lambda t: b"(" * 9000 + b"\n"), "is no array"),
    "a header that ends within a text": (_reheaded(lambda t: b"{'descr': '''\n"), "is no array"),
    "a header of sixty thousand letters": (_reheaded(lambda t: b"9" * 60000 + b"\n"), "is no array"),
    "a header that claims four gigabytes": (
        _eqx(lambda c: b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + c[10:]), "is no array|cut off",
    ),
    "a shape of terabytes": (_at(0, lambda a: _bad_header((1 << 44,))), "instead of"),
    "a shape whose product wraps around": (_at(0, lambda a: _bad_header((1 << 63, 4))), "instead of"),
    "a shape below zero": (_at(0, lambda a: _bad_header((-1, 128))), "instead of|is no array"),
    "a shape of a hundred sides": (_at(0, lambda a: _bad_header((1,) * 100)), "instead of"),
    "a type of structures": (
        _at(0, lambda a: np.zeros(a.shape, [("a", "f4"), ("b", "i4")])), "instead of float32",
    ),
    "a type of texts": (_at(0, lambda a: np.zeros(a.shape, "S4")), "instead of float32"),
    "a type of dates": (_at(0, lambda a: np.zeros(a.shape, "M8[s]")), "instead of float32"),
    "float16": (_at(0, lambda a: a.astype("f2")), "float16 instead of float32"),
    "float64": (_at(0, lambda a: a.astype("f8")), "float64 instead of float32"),
    "int32": (_at(0, lambda a: a.astype("i4")), "int32 instead of float32"),
    "complex numbers": (_at(0, lambda a: a.astype("c8")), "complex64 instead of float32"),
    "the other byte order": (_at(0, lambda a: a.astype(">f4")), ">f4 instead of float32"),
    "NaN in the first array": (_at(0, lambda a: a * np.float32("nan")), "NaN or infinite"),
    "infinity in the last array": (_at(30, lambda a: a / np.float32(0)), "NaN or infinite"),
    "an array twice": (
        _eqx(lambda c: serialised([leaves(c)[0], *leaves(c)])), "instead of|bytes follow",
    ),
    "an array missing": (_eqx(lambda c: serialised(leaves(c)[1:])), "instead of"),
    "two files of one model": (_eqx(lambda c: c + c), "bytes follow its last array"),
    "a terabyte behind the last array": (
        lambda r, f: sparse(f, 1 << 40, r.good.eqx.read_bytes()), "bytes follow its last array",
    ),
    "a terabyte of nothing": (lambda r, f: sparse(f), "is no array"),
}  # fmt: skip


@pytest.mark.parametrize("case", EQX)
def test_an_eqx_is_refused(room, case):
    make, says = EQX[case]
    file = room.inputs / "in.eqx"
    with np.errstate(all="ignore"):
        make(room, file)
    room.refused("export", "--eqx", file, "--output", room.out / "made.onnx", file=file, says=says)


@pytest.mark.parametrize(
    "case", ["an array of objects with code", "a shape of terabytes", "float64"]
)
def test_compare_refuses_an_eqx_as_export_does(room, case):
    make, says = EQX[case]
    file = room.inputs / "in.eqx"
    make(room, file)
    room.refused("compare", "--weights", room.good.pth, "--eqx", file, file=file, says=says)


def _read_leaves(file):
    """What the commands read of a file; None where they refuse it, in a paragraph."""
    from dinov3_parity.fixtures.stages.mapped import vit as mapped
    from dinov3_parity.fixtures.graphs import jax_taps
    from dinov3_parity.fixtures.workflow import leaves as reader
    from dinov3_parity.parity.errors import ParityError

    try:
        model = reader.read(file, mapped.skeleton(SMALL), "jax2onnx's example of small")
    except ParityError as error:
        hostile.paragraph(f"dinov3-parity: {error}", file)
        return None
    return jax_taps.parameters(model)


@pytest.mark.parametrize("seed", range(3))
def test_an_eqx_with_a_flipped_bit_in_a_header_is_refused_or_reads_right(room, seed):
    sound, draw = _read_leaves(room.good.eqx), random.Random(seed)
    content, file, refused = room.good.eqx.read_bytes(), room.inputs / "in.eqx", 0
    places = headers(content)
    for _ in range(60):
        begin, end = draw.choice(places)
        flipped(file, room.good.eqx, draw.randrange(8 * begin, 8 * end))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read = _read_leaves(file)
        refused += read is None
        if read is not None:
            assert all(np.array_equal(read[path], value) for path, value in sound.items())
    assert refused > 30


def test_the_file_that_was_checked_is_the_one_that_is_read(room):
    """Equinox adds an ending to a name that has none, and would open the file beside it."""
    file = room.inputs / "mapped"
    shutil.copy(room.good.eqx, file)
    wrong = leaves(room.good.eqx.read_bytes())
    file.with_suffix(".eqx").write_bytes(serialised([wrong[0] * 2, *wrong[1:]]))
    read, sound = _read_leaves(file), _read_leaves(room.good.eqx)
    assert all(np.array_equal(read[path], value) for path, value in sound.items())


# .onnx


def _model(change=lambda model: None, **parts):
    """A model of the bench's, written as a file after a change."""

    def make(room, file):
        model = tokens_of(**parts)
        change(model)
        file.write_bytes(model.SerializeToString())

    return make


def _external(data=lambda room, beside: beside.write_bytes(bytes(1 << 17)), **told):
    """A model whose weight lies in another file, and what lies there."""
    told.setdefault("location", "in.data")

    def make(room, file):
        data(room, file.parent / "in.data")
        where = {k: v(room) if callable(v) else v for k, v in told.items()}
        model = tokens_of()
        outside(model.graph.initializer[0], **where)
        file.write_bytes(model.SerializeToString())

    return make


def _in_a_node(room, file, graph=None):
    """The secret is the value of a Constant: in the graph, or in a function of it."""
    weight = outside(onnx.numpy_helper.from_array(np.zeros(4, "f4"), "secret"),
                     location="../good/good.pth")  # fmt: skip
    node = helper.make_node("Constant", [], ["w"], value=weight)
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), node,
             helper.make_node("Add", ["s", "w"], ["y"])]  # fmt: skip
    model = tokens_of(nodes=nodes)
    del model.graph.initializer[:]
    if graph == "function":
        opsets = [helper.make_opsetid("", 21)]
        model.functions.add().CopyFrom(
            helper.make_function("here", "VisionTransformer", ["x"], ["y"], nodes, opsets)
        )
        model.opset_import.add(domain="here", version=1)
        del model.graph.node[:]
        model.graph.node.add().CopyFrom(
            helper.make_node("VisionTransformer", ["x"], ["y"], domain="here")
        )
    if graph == "branch":
        branch = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("w", 1, None)])
        nodes[1] = helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch)
        model = tokens_of(
            nodes=nodes, weights=[helper.make_tensor("c", TensorProto.BOOL, [], [True])]
        )
    file.write_bytes(model.SerializeToString())


def _in_another_domain(model):
    model.graph.node[1].domain = "evil.example"
    model.opset_import.add(domain="evil.example", version=1)


def _calling_itself(model):
    node = helper.make_node("VisionTransformer", ["x"], ["y"], domain="here")
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("here", 1)]
    model.functions.add().CopyFrom(
        helper.make_function("here", "VisionTransformer", ["x"], ["y"], [node], opsets)
    )
    model.opset_import.add(domain="here", version=1)
    del model.graph.node[:]
    model.graph.node.add().CopyFrom(node)


def _text_beside(model):
    """A second output, of texts: what only unpickling could bring back."""
    model.graph.initializer.add().CopyFrom(
        helper.make_tensor("t", TensorProto.STRING, [1], [b"<script>"])
    )
    model.graph.node.add().CopyFrom(helper.make_node("Identity", ["t"], ["texts"]))
    model.graph.output.add().CopyFrom(
        helper.make_tensor_value_info("texts", TensorProto.STRING, [1])
    )


def _terabytes(model):
    model.graph.initializer[0].ClearField("raw_data")
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 20, 1 << 20])


def _allocating(model):
    """The graph itself makes a terabyte as it runs."""
    model.graph.initializer.add().CopyFrom(
        helper.make_tensor("n", TensorProto.INT64, [1], [1 << 38])
    )
    model.graph.node[1].input[1] = "made"
    made = helper.make_node("ConstantOfShape", ["n"], ["big"])
    model.graph.node.insert(0, helper.make_node("ReduceSum", ["big"], ["made"], keepdims=0))
    model.graph.node.insert(0, made)


def _cut_data(room, beside):
    beside.write_bytes(bytes(1000))


def _linked_data(room, beside):
    beside.symlink_to(room.good.pth)


OUT, LIES, RUNS = "Nothing was read from there", "these are not there", "does not run on"
TAKES, NONE = "up to 64 images, float32", "is not an ONNX file"
ONNX = {
    "data at an absolute path": (_external(location="/etc/passwd"), OUT),
    "data at the absolute path of a sound file": (_external(location=lambda r: r.good.pth), OUT),
    "data above": (_external(location="../../hostile/good.pth"), OUT),
    "data down and up": (_external(location="a/../in.data"), OUT),
    "data in a folder below": (_external(location="below/in.data"), OUT),
    "data behind a link": (_external(_linked_data), OUT),
    "data at no name": (_external(location=""), OUT),
    "data at a name with a zero in it": (_external(location="in.data\0x"), OUT),
    "data in onnxruntime's own memory": (_external(location="*/_ORT_MEM_ADDR_/*", offset=4096), OUT),
    "data at a name with markup": (_external(location="<b>/x"), OUT),
    "data in a Constant": (_in_a_node, OUT),
    "data in a function's Constant": (lambda r, f: _in_a_node(r, f, "function"), OUT),
    "data in a branch's Constant": (lambda r, f: _in_a_node(r, f, "branch"), OUT),
    "no data": (_external(lambda r, p: None), "not beside it"),
    "data that is a pipe": (_external(lambda r, p: os.mkfifo(p)), "not beside it"),
    "data that is a folder": (_external(lambda r, p: p.mkdir()), "not beside it"),
    "data that was cut off": (_external(_cut_data, offset=0, length=197 * 128 * 4), LIES),
    "data from before its begin": (_external(offset=-4096, length=4096), LIES),
    "data of less than nothing": (_external(offset=0, length=-1), LIES),
    "data of terabytes": (_external(offset=0, length=1 << 42), LIES),
    "data from beyond its end": (_external(offset=1 << 42, length=4), LIES),
    "data from no number": (_external(offset="a\nb"), LIES),
    "data that is too short for its tensor": (_external(offset=0, length=8), RUNS),
    "empty": (lambda r, f: f.touch(), "no input at all|" + NONE),
    "a terabyte of nothing": (lambda r, f: sparse(f), NONE),
    "HTML": (lambda r, f: f.write_text("<html>403</html>"), NONE),
    "a pickle with code": (lambda r, f: f.write_bytes(pickle.dumps(_Bomb(r.order))), NONE),
    "an empty graph": (_model(lambda m: m.graph.Clear()), "no input at all"),
    "no inputs": (_model(lambda m: m.graph.ClearField("input")), "no input at all"),
    "no outputs": (_model(lambda m: m.graph.ClearField("output")), "no output at all"),
    "two inputs": (
        _model(more=(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]),)), "Say which",
    ),
    "no opset": (_model(lambda m: m.ClearField("opset_import")), "which opset"),
    "an opset of the future": (_model(lambda m: setattr(m.opset_import[0], "version", 9999)), RUNS),
    "an input of one side": (_model(images=(150528,)), "not a batch of images"),
    "four channels": (_model(lambda m: None, images=(1, 4, 224, 224)), RUNS),
    "an input of trillions of pixels": (_model(images=(1, 3, 1 << 40, 16)), TAKES),
    "an input of trillions of images": (_model(images=(1 << 40, 3, 224, 224)), TAKES),
    "an input of half a patch": (_model(images=(1, 3, 230, 224)), TAKES),
    "an input below zero": (_model(images=(1, 3, -224, 224)), TAKES),
    "an input of float64": (_model(kind=TensorProto.DOUBLE), TAKES),
    "an input of texts": (_model(kind=TensorProto.STRING), TAKES),
    "tokens of another grid": (_model(tokens=(1, 50, 128)), "neither cls"),
    "tokens of no shape": (_model(tokens=()), "neither cls"),
    "a weight of terabytes": (_model(_terabytes), RUNS),
    "a terabyte made while it runs": (_model(_allocating), RUNS),
    "an operator that there is none of": (
        _model(lambda m: setattr(m.graph.node[1], "op_type", "Evil")), RUNS,
    ),
    "an operator of a domain of its own": (_model(_in_another_domain), RUNS),
    "a function that calls itself": (_model(_calling_itself), RUNS),
    "a graph that feeds itself": (
        _model(lambda m: m.graph.node[0].input.__setitem__(0, "y")), RUNS,
    ),
    "a second output of texts": (_model(_text_beside), "something else than arrays"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONNX)
def test_an_onnx_file_is_refused(room, case):
    make, says = ONNX[case]
    file = room.inputs / "in.onnx"
    make(room, file)
    room.refused("compare", "--weights", room.good.pth, "--onnx", file, file=file, says=says)


BUNDLED = (
    "data above", "data behind a link", "data in a function's Constant", "data that was cut off",
    "HTML", "an empty graph", "an input of trillions of images", "a function that calls itself",
    "a second output of texts",
)  # fmt: skip


@pytest.mark.parametrize("case", BUNDLED)
def test_a_bundle_of_it_is_refused_and_none_is_begun(room, case):
    make, says = ONNX[case]
    file = room.inputs / "in.onnx"
    make(room, file)
    words = ["bundle", "--checkpoint", room.good.pth, "--onnx", file, "--out", room.out / "bundle"]
    room.refused(*words, file=file, says=says)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_an_onnx_file_that_returns_no_numbers_departs(room, value):
    file = room.inputs / "in.onnx"
    weight = onnx.numpy_helper.from_array(np.full((1, 197, 128), value, "f4"), "w")
    file.write_bytes(tokens_of(weights=[weight]).SerializeToString())
    room.look()
    told = room.told("compare", "--weights", room.good.pth, "--onnx", file, "--json")
    answer = json.loads(told.out)
    assert (told.code, answer["verdict"]) == (1, "departs")
    assert not answer["files"][0]["holds"]
    room.unchanged()


def test_a_function_that_calls_itself_is_not_tapped_forever(room):
    file = room.inputs / "in.onnx"
    ONNX["a function that calls itself"][0](room, file)
    words = ["compare", "--weights", room.good.pth, "--onnx", file, "--block-debug"]
    room.refused(*words, file=file, says=RUNS)


@pytest.mark.parametrize("seed", range(3))
def test_an_onnx_file_with_a_flipped_bit_is_refused_or_opened(room, seed):
    """Whether what is still a file runs is onnxruntime's to say, in a process of its own."""
    from dinov3_parity.fixtures.workflow import subjects
    from dinov3_parity.parity.errors import ParityError

    draw, file = random.Random(seed), room.inputs / "in.onnx"
    content = room.good.onnx.read_bytes()
    graph = len(content) - 200_000  # where names and nodes are, not numbers alone
    for number in range(60):
        place = draw.randrange(len(content)) if number % 2 else graph + draw.randrange(200_000)
        flipped(file, room.good.onnx, 8 * place + draw.randrange(8))
        try:
            opened = subjects.opened(file, SMALL)
            if number % 20 == 0:
                opened.run(np.zeros((1, 3, 224, 224), "f4"))
        except ParityError as error:
            hostile.paragraph(f"dinov3-parity: {hostile.shown(str(error))}", file)


# Odd and sound


def _weights(room, file):
    """Equimo's leaves of what convert makes of a file."""
    made = room.out / "made.tar.lz4"
    room.look()
    told = room.told("convert", "--weights", file, "--output", made)
    assert told.code == 0, told
    room.unchanged()
    return hostile.contents(made)["weights.eqx"]


def _foreign_members(room, file):
    """Inside the archive's own folder, as far as their names' beginnings go."""
    _with_members(room, file, "good/../../../evil", "good/data/x<script>", "good/\\evil")


def _parameters(room, file):
    import torch

    tensors = {n: torch.from_numpy(np.array(v)) for n, v in room.good.checkpoint.items()}
    torch.save({n: torch.nn.Parameter(value) for n, value in tensors.items()}, file)


def _transposed(room, file):
    """The same numbers, in memory the other way round."""
    import torch

    tensor = torch.from_numpy(np.array(room.good.checkpoint["blocks.0.mlp.fc1.weight"]))
    _changed(room, file, blocks__0__mlp__fc1__weight=tensor.T.contiguous().T)


def _shared(room, file):
    """Two tensors in one storage."""
    import torch

    two = ("norm.weight", "norm.bias")
    both = torch.from_numpy(np.stack([room.good.checkpoint[name] for name in two]))
    _changed(room, file, norm__weight=both[0], norm__bias=both[1])


def _without_sums(room, file):
    import torch

    torch.serialization.set_crc32_options(False)
    try:
        _changed(room, file)
    finally:
        torch.serialization.set_crc32_options(True)


def _with_a_comment(room, file):
    shutil.copy(room.good.pth, file)
    with zipfile.ZipFile(file, "a") as opened:
        opened.comment = b"<script>alert(1)</script>"


ODD = {
    "members that lead elsewhere": _foreign_members,
    "parameters that want gradients": _parameters,
    "a transposed tensor": _transposed,
    "two tensors in one storage": _shared,
    "no checksums": _without_sums,
    "a comment": _with_a_comment,
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_pth_is_read_right(room, case):
    file = room.inputs / "in.pth"
    ODD[case](room, file)
    assert _weights(room, file) == room.good.weights


def test_one_number_for_a_whole_tensor_is_read_as_that(room):
    file = room.inputs / "in.pth"
    _changed(room, file, norm__bias=_torch("full")((1,), 0.25).expand(128))
    read = leaves(_weights(room, file))
    assert any(leaf.shape == (128,) and (leaf == 0.25).all() for leaf in read)


TINY = np.float32([1e-45, -1e-45, 1.1754942e-38, -0.0] * 32)  # subnormal numbers, and minus zero


def test_subnormal_numbers_go_through_every_step(room):
    file, made = room.inputs / "in.pth", room.out / "made.eqx"
    _changed(room, file, norm__bias=_torch("from_numpy")(TINY))
    weights = _weights(room, file)
    assert any(leaf.tobytes() == TINY.tobytes() for leaf in leaves(weights))
    archive = room.out / "made.tar.lz4"
    assert room.told("map", "--weights", archive, "--output", made).code == 0
    assert any(leaf.tobytes() == TINY.tobytes() for leaf in leaves(made.read_bytes()))
    words = ["compare", "--weights", file, "--equimo", archive, "--eqx", made]
    assert room.told(*words).code == 0


@pytest.mark.parametrize(
    "change",
    [lambda c: serialised(leaves(c), version=(2, 0)),
     lambda c: serialised([a if a.ndim < 2 else np.asfortranarray(a) for a in leaves(c)])],
    ids=["headers of version 2", "columns first"],
)  # fmt: skip
def test_an_odd_eqx_is_read_right(room, change):
    file = room.inputs / "in.eqx"
    file.write_bytes(change(room.good.eqx.read_bytes()))
    read, sound = _read_leaves(file), _read_leaves(room.good.eqx)
    assert all(np.array_equal(read[path], value) for path, value in sound.items())


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("begin", ["", "./"])
def test_an_odd_archive_is_read_right(room, format, begin):
    file, made = room.inputs / "in.tar.lz4", room.out / "made.eqx"
    held = hostile.contents(room.good.archive)
    names = {name.removeprefix("./"): content for name, content in held.items()}
    tarred(file, (member(begin + name, content) for name, content in names.items()), format)
    assert room.told("map", "--weights", file, "--output", made).code == 0
    assert made.read_bytes() == room.good.eqx.read_bytes()


# Names


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
    assert hostile.contents(archive)["weights.eqx"] == room.good.weights
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
    room.refused(*_read(room, ending, file), file=file, says="no text in UTF-8; rename it")


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


# Where results go


def _before(path):
    path.write_text("before")


TARGETS = {
    "a file of something else": _before,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "links in a circle": _circle,
    "a link to a device": lambda path: path.symlink_to("/dev/null"),
    "a link to a file elsewhere": lambda path: path.symlink_to(path.parents[1] / "in" / "mine"),
    "a pipe": _fifo,
    "a socket": _socket,
}


@pytest.mark.parametrize("stands", TARGETS)
def test_what_stands_in_a_results_place_is_not_written_through(room, stands):
    _before(room.inputs / "mine")
    made = room.out / "made.eqx"
    TARGETS[stands](made)
    room.look()
    kept = made.lstat().st_ino, made.lstat().st_size
    told = room.told("map", "--weights", room.good.archive, "--output", made)
    assert told.code == 2 and "--force" in told.err
    hostile.paragraph(told.err.strip(), made)
    assert (made.lstat().st_ino, made.lstat().st_size) == kept
    room.unchanged()
    words = ["map", "--weights", room.good.archive, "--output", made, "--force"]
    assert room.told(*words).code == 0
    assert not made.is_symlink() and made.read_bytes() == room.good.eqx.read_bytes()
    room.unchanged()


MADE = {
    "convert": lambda room: ["convert", "--weights", room.good.pth],
    "map": lambda room: ["map", "--weights", room.good.archive],
    "export": lambda room: ["export", "--eqx", room.good.eqx],
}


@pytest.mark.parametrize("command", MADE)
def test_a_disk_that_takes_no_more_is_told(room, command):
    """A limit of sizes in the disk's stead: the kernel refuses in the same way."""
    import resource

    file = room.out / "made"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = [*MADE[command](room), "--output", file]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        room.refused(*words, file=file, says="could not be written.*--output FILE")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", MADE)
def test_a_folder_that_may_not_be_written_is_told(room, bound_by_modes, command):
    file = room.out / "made"
    room.out.chmod(0o555)
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="Permission denied.*--output FILE")


@pytest.mark.parametrize("command", MADE)
def test_a_folder_that_is_not_there_is_told(room, command):
    file = room.out / "none" / "made"
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="there is no folder.*--output FILE")


@pytest.mark.parametrize("command", MADE)
def test_a_result_of_too_long_a_name_is_told(room, command):
    file = room.out / ("n" * 300)
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="too long.*--output FILE")


def test_a_folder_that_vanishes_meanwhile_is_told(room, monkeypatch):
    from dinov3_parity.fixtures.stages.mapped import vit as mapped

    place = room.out / "place"
    place.mkdir()
    sound = mapped.map_weights

    def vanishing(*given):
        shutil.rmtree(place)
        return sound(*given)

    monkeypatch.setattr(mapped, "map_weights", vanishing)
    file = place / "made.eqx"
    words = ["map", "--weights", room.good.archive, "--output", file]
    room.refused(*words, file=file, says="removed.*--output FILE")


def test_a_linked_folder_leads_to_where_it_leads(room):
    (room.out / "real").mkdir()
    (room.out / "link").symlink_to("real")
    made = room.out / "link" / "made.eqx"
    room.look()
    assert room.told("map", "--weights", room.good.archive, "--output", made).code == 0
    assert (room.out / "real" / "made.eqx").read_bytes() == room.good.eqx.read_bytes()
    assert (room.out / "link").is_symlink()
    room.unchanged()
