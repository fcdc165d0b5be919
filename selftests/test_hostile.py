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

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fixtures import release
from fixtures.synthetic import Synthetic
from selftests import hostile
from selftests.hostile import (
    SAT,
    SMALL,
    Good,
    Room,
    after,
    contents,
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
    sparse,
    tarred,
    tokens_of,
    zipped,
)  # fmt: skip

NOBODY = 65534


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
    return made


def _publish(made: Good) -> None:
    """The same numbers as Hugging Face publishes them."""
    from safetensors.numpy import save_file

    from selftests import hugging_face

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
    zipped(file, [*held.items(), (name, bytes(len(content)))])


def _packed_zeros(room, file):
    """A record of a gigabyte in a megabyte of zip."""
    held = records(room.good.pth)
    name = next(n for n in held if n.endswith("/data/0"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_not_waited_for(room, place, ending):
    file = room.inputs / f"in.{ending}"
    PLACES[place](file)
    command, option = READ[ending]
    words = [command, option, file]
    words += (
        ["--weights", room.good.pth] if command == "compare" else ["--output", room.out / "made"]
    )
    room.refused(*words, file=file, says="here is no|is not there|holds neither|lacks|is a folder")


@pytest.mark.parametrize("ending", READ)
def test_a_name_longer_than_a_file_can_have_is_told(room, ending):
    file = room.inputs / f"{'n' * 300}.{ending}"
    command, option = READ[ending]
    words = [command, option, file]
    words += (
        ["--weights", room.good.pth] if command == "compare" else ["--output", room.out / "made"]
    )
    room.refused(*words, file=file, says="here is no|too long")


@pytest.fixture
def as_nobody(room):
    """Ask as a user whom a file's mode binds; root asks as nobody."""
    if os.geteuid():
        yield
        return
    places = {*room.path.parents, *room.good.folder.parents} - {Path("/")}
    opened = [*places, room.good.folder]
    modes = {path: path.stat().st_mode for path in opened}
    for path in opened:
        path.chmod(path.stat().st_mode | 0o555)
    for place in (room.path, room.good.store):
        for path in [place, *place.rglob("*")]:
            if not path.is_symlink():
                modes.setdefault(path, path.stat().st_mode)
                path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
    yield
    for path, mode in modes.items():
        if path.exists():
            path.chmod(mode)


@pytest.mark.parametrize("ending", READ)
def test_a_file_that_may_not_be_read_is_told(room, as_nobody, ending):
    file = room.inputs / f"in.{ending}"
    sound = {"pth": room.good.pth, "safetensors": room.good.shards, "tar.lz4": room.good.archive}
    shutil.copy(sound.get(ending, getattr(room.good, ending, None)), file)
    file.chmod(0o000)
    command, option = READ[ending]
    words = [command, option, file]
    words += (
        ["--weights", room.good.pth] if command == "compare" else ["--output", room.out / "made"]
    )
    user = 0 if os.geteuid() else NOBODY
    room.refused(*words, file=file, says="Permission denied", user=user)


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


# .safetensors


def _table(change):
    return lambda r, f: safetensors(f, r.good.shards, change)


def _first(change):
    """Change what the table says of one tensor."""
    return _table(lambda table: table["norm.weight"].update(change(table["norm.weight"])))


def _called(to):
    return _table(lambda table: table.__setitem__(to, table.pop("norm.weight")))


SAFETENSORS = {
    "empty": lambda r, f: f.touch(),
    "seven bytes": lambda r, f: cut(f, r.good.shards, 7),
    "a header of exabytes": lambda r, f: f.write_bytes(b"\xff" * 7 + b"\x0f" + b"{}"),
    "a header longer than the file": lambda r, f: f.write_bytes((1 << 20).to_bytes(8, "little") + b"{}"),
    "a header that is no JSON": _table(lambda table: b"{not JSON}"),
    "a header of a list": _table(lambda table: b"[1, 2, 3]"),
    "a header ten thousand deep": _table(lambda table: b"[" * 10_000),
    "a tensor twice": _table(
        lambda table: json.dumps(table).encode()[:-1] + b', "norm.weight": '
        + json.dumps(table["norm.bias"]).encode() + b"}"
    ),
    "two tensors at one place": _first(lambda told: {"data_offsets": [0, 512]}),
    "a tensor beyond the end": _first(lambda told: {"data_offsets": [1 << 40, (1 << 40) + 512]}),
    "a tensor that ends before it begins": _first(
        lambda told: {"data_offsets": told["data_offsets"][::-1]}
    ),
    "a tensor of terabytes": _first(lambda told: {"shape": [1 << 40]}),
    "a shape that overflows": _first(lambda told: {"shape": [1 << 33, 1 << 33]}),
    "a shape below zero": _first(lambda told: {"shape": [-128]}),
    "a dtype that is none": _first(lambda told: {"dtype": "OBJECT"}),
    "half precision": _first(lambda told: {"dtype": "F16", "shape": [256]}),
    "a name of HTML": _called("<script>alert(1)</script>"),
    "a name of a terminal's commands": _called("\x1b]0;gone\x07\x1b[2J"),
    "a name of ten thousand letters": _called("n" * 10_000),
    "half": lambda r, f: cut(f, r.good.shards, r.good.shards.stat().st_size // 2),
    "all but its last byte": lambda r, f: cut(f, r.good.shards, r.good.shards.stat().st_size - 1),
    "a byte too many": lambda r, f: f.write_bytes(r.good.shards.read_bytes() + b"x"),
    "not a number": lambda r, f: f.write_bytes(
        r.good.shards.read_bytes()[:-4] + np.float32(np.nan).tobytes()
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_safetensors_is_refused(room, case):
    file = room.inputs / "model.safetensors"
    SAFETENSORS[case](room, file)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file, says=".")


# .tar.lz4


def _beside(*members):
    """The sound members and others."""

    def make(room, file):
        sound = [member(name, content) for name, content in contents(room.good.archive).items()]
        tarred(file, [*sound, *members])

    return make  # fmt: skip


def _instead(*members):
    return lambda r, f: tarred(f, members)


def _metadata(text):
    return lambda r, f: rebuilt(
        f, r.good.archive, metadata=text if isinstance(text, bytes) else text(r)
    )


def _setting(**changed):
    def text(room):
        told = hostile.model_config(room.good.archive)
        told["model_config"] |= changed
        return json.dumps(told).encode()

    return _metadata(text)  # fmt: skip


def _weights(change):
    return lambda r, f: rebuilt(
        f, r.good.archive, weights=change(contents(r.good.archive)["weights.eqx"])
    )


_LINK, _HARD = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}

ARCHIVE = {
    "empty": lambda r, f: f.touch(),
    "text": lambda r, f: f.write_text("no archive at all"),
    "lz4 of text": lambda r, f: packed(f, b"no tar at all" * 100),
    "lz4 of nothing": lambda r, f: packed(f, b""),
    "a tar that is not compressed": lambda r, f: tarfile.open(f, "w").close(),
    "a path from the root": _beside(member("/tmp/dinov3-parity-was-here", b"x")),
    "a path upwards": _beside(member("../was-here", b"x")),
    "a path upwards from within": _beside(member("a/../../was-here", b"x")),
    "weights by a path upwards": _instead(member("../weights.eqx", b"x")),
    "a link to the root": _beside(member("root", linkname="/", **_LINK)),
    "weights that are a link": _instead(
        member("metadata.json", b"{}"), member("weights.eqx", linkname="/etc/passwd", **_LINK)
    ),
    "weights that are another name of a file": _instead(
        member("metadata.json", b"{}"), member("weights.eqx", linkname="/etc/passwd", **_HARD)
    ),
    "metadata that is a link and a file through it": _instead(
        member("metadata.json", linkname="/tmp/was-here", **_LINK), member("metadata.json", b"{}")
    ),
    "a device": _beside(member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "a disk": _beside(member("disk", type=tarfile.BLKTYPE, devmajor=8, devminor=0)),
    "a pipe": _beside(member("pipe", type=tarfile.FIFOTYPE)),
    "a folder of the weights' name": _instead(member("weights.eqx", type=tarfile.DIRTYPE)),
    "weights twice": _beside(member("weights.eqx", b"x")),
    "a file more": _beside(member("setup.py", b"import os; os.system('touch canary')")),
    "ten thousand files": _beside(*(member(f"{i}", b"") for i in range(10_000))),
    "a bomb": _instead(member("weights.eqx", bytes(64 << 20))),
    "weights of a terabyte that are not there": lambda r, f: packed(
        f, member("weights.eqx", size=1 << 40)[0].tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    ),
    "weights of fewer than no bytes": lambda r, f: packed(
        f, member("weights.eqx", size=-5)[0].tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    ),
    "a name of a terminal's commands": _beside(member("\x1b[2J\x1b]0;gone\x07", b"x")),
    "a name of HTML": _beside(member("<img src=x onerror=alert(1)>", b"x")),
    "metadata that is no JSON": _metadata(b"{not JSON"),
    "metadata that is no UTF-8": _metadata(b"\xff\xfe\x00"),
    "metadata a hundred thousand deep": _metadata(b"[" * 100_000),
    "metadata of a list": _metadata(b"[1]"),
    "metadata without a model": _metadata(b"{}"),
    "a model that is a number": _metadata(b'{"model_config": 7}'),
    "another eps": _setting(eps=1e-6),
    "eps of no number": _setting(eps=float("nan")),
    "other heads": _setting(num_heads=4),
    "heads that are text": _setting(num_heads="<b>2</b>"),
    "the other GELU": _setting(act_layer="gelu"),
    "weights of Python objects": _weights(lambda c: instead(c, 0, _objects())),
    "weights of a terabyte": _weights(
        lambda c: headed(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n")
    ),
    "weights cut off": _weights(lambda c: c[:-1]),
    "weights and more": _weights(lambda c: c + b"x"),
    "weights that are not numbers": _weights(lambda c: c[:-4] + np.float32(np.nan).tobytes()),
    "weights of double precision": _weights(
        lambda c: instead(c, 0, leaves(c)[0].astype(np.float64))
    ),
    "no weights in it": _weights(lambda c: b""),
}  # fmt: skip


def _objects() -> bytes:
    """An array of Python objects whose unpickling would leave a file behind."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([_Touch()], object), allow_pickle=True)
    return stream.getvalue()


class _Touch:
    def __reduce__(self):
        return os.system, ("touch canary ../canary",)


@pytest.mark.parametrize("case", ARCHIVE)
def test_an_archive_is_refused(room, case):
    file = room.inputs / "in.tar.lz4"
    ARCHIVE[case](room, file)
    room.refused("map", "--weights", file, "--output", room.out / "made.eqx", file=file, says=".")
    assert (
        not list(room.path.rglob("was-here")) and not Path("/tmp/dinov3-parity-was-here").exists()
    )


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.999])
def test_an_archive_that_was_cut_off_is_refused(room, share):
    file = room.inputs / "in.tar.lz4"
    cut(file, room.good.archive, int(share * room.good.archive.stat().st_size))
    room.refused("map", "--weights", file, "--output", room.out / "made", file=file, says="damaged")


@pytest.mark.parametrize("seed", range(3))
def test_an_archive_with_flipped_bits_is_refused_or_reads_right(room, seed):
    """lz4 as Equimo writes it has a checksum of the header alone: what is read must be the same, or
    numbers that are other finite ones."""
    draw, size = random.Random(f"archive {seed}"), room.good.archive.stat().st_size
    codes = []
    for i in range(12):
        file = room.inputs / "in.tar.lz4"
        flipped(file, room.good.archive, draw.randrange(8 * (200 if i < 4 else size)))
        room.look()
        made = room.out / "made.eqx"
        told = room.told("map", "--weights", file, "--output", made)
        codes.append(told.code)
        if told.code == 2:
            hostile.paragraph(told.err.strip(), file)
            assert not made.exists()
        else:
            assert told.code == 0, told
            assert all(np.isfinite(a).all() for a in leaves(made.read_bytes()))
            made.unlink()
        room.unchanged()
    assert codes.count(2) >= 1, codes


# .eqx


def _leaf(change):
    def make(room, file):
        content = room.good.eqx.read_bytes()
        file.write_bytes(instead(content, 0, change(leaves(content)[0])))

    return make  # fmt: skip


def _header(text, version=(1, 0)):
    return lambda r, f: f.write_bytes(headed(text, version) + r.good.eqx.read_bytes())


EQX = {
    "empty": lambda r, f: f.touch(),
    "text": lambda r, f: f.write_text("no array at all"),
    "an archive": lambda r, f: shutil.copy(r.good.archive, f),
    "a pickle with code": lambda r, f: f.write_bytes(pickle.dumps(_Touch())),
    "an array of Python objects": _leaf(lambda a: _objects()),
    "records with objects in them": _leaf(
        lambda a: headed(b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }\n")
    ),
    "a header of code": _header(b"__import__('os').system('touch canary')\n"),
    "a header that calls": _header(b"{'descr': open('canary', 'w'), 'shape': (), }\n"),
    "a header ten thousand deep": _header(b"(" * 10_000),
    "a header of a gigabyte": lambda r, f: f.write_bytes(
        np.lib.format.magic(2, 0) + (1 << 30).to_bytes(4, "little") + b"{"
    ),
    "a version that is none": _header(b"{}", version=(9, 9)),
    "an array of terabytes": _header(
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }\n"
    ),
    "a shape that overflows": _header(
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }\n"
    ),
    "a shape below zero": _header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"),
    "a dtype that is none": _header(b"{'descr': 'zz9', 'fortran_order': False, 'shape': (1,), }\n"),
    "double precision": _leaf(lambda a: a.astype(np.float64)),
    "half precision": _leaf(lambda a: a.astype(np.float16)),
    "whole numbers": _leaf(lambda a: np.ones(a.shape, np.int32)),
    "the other byte order": _leaf(lambda a: a.astype(">f4")),
    "another shape": _leaf(lambda a: a[..., :1]),
    "not a number": _leaf(lambda a: np.full_like(a, np.nan)),
    "infinite": _leaf(lambda a: np.full_like(a, np.inf)),
    "half of it": lambda r, f: cut(f, r.good.eqx, r.good.eqx.stat().st_size // 2),
    "all but a byte": lambda r, f: cut(f, r.good.eqx, r.good.eqx.stat().st_size - 1),
    "a byte too many": lambda r, f: f.write_bytes(r.good.eqx.read_bytes() + b"x"),
    "the model twice": lambda r, f: f.write_bytes(2 * r.good.eqx.read_bytes()),
}  # fmt: skip


@pytest.mark.parametrize("case", EQX)
def test_an_eqx_is_refused(room, case):
    file = room.inputs / "in.eqx"
    EQX[case](room, file)
    room.refused("export", "--eqx", file, "--output", room.out / "made.onnx", file=file, says=".")


@pytest.mark.parametrize("seed", range(2))
def test_an_eqx_with_a_flipped_bit_in_a_header_is_refused_or_is_the_same(room, seed):
    draw, places = random.Random(f"eqx {seed}"), headers(room.good.eqx.read_bytes())
    refused = 0
    for _ in range(20):
        file = room.inputs / "in.eqx"
        begin, end = draw.choice(places)
        flipped(file, room.good.eqx, draw.randrange(8 * begin, 8 * end))
        room.look()
        told = room.told("compare", "--weights", room.good.pth, "--eqx", file, "--img-size", "32")
        if told.code == 2:
            hostile.paragraph(told.err.strip(), file)
            refused += 1
        else:  # a space more, or an order of axes that this array does not have
            assert told.code in (0, 1), told
        room.unchanged()
    assert refused >= 10


# .onnx


def _model(**told):
    return lambda r, f: onnx.save(tokens_of(**told), f)


def _apart(**told):
    """A weight of the model lies in another file, as these entries say."""

    def make(room, file):
        weight = outside(onnx.numpy_helper.from_array(np.ones((1, 197, SMALL.dim), np.float32), "w"),
                         **told)  # fmt: skip
        (room.inputs / "good.data").write_bytes(bytes(4 * 197 * SMALL.dim))
        file.write_bytes(tokens_of(weights=[weight]).SerializeToString())

    return make  # fmt: skip


def _linked(room, file):
    _apart(location="linked.data")(room, file)
    (room.inputs / "linked.data").symlink_to("/etc/passwd")


def _in_a_function(room, file):
    """The tensor that points outside stands in a node's attribute."""
    value = outside(onnx.numpy_helper.from_array(np.ones(4, np.float32), "v"), location="../secret")
    node = helper.make_node("Constant", [], ["y"], value=value)
    file.write_bytes(tokens_of(nodes=[node]).SerializeToString())


ONNX = {
    "empty": lambda r, f: f.touch(),
    "text": lambda r, f: f.write_text("no model at all"),
    "a checkpoint": lambda r, f: shutil.copy(r.good.pth, f),
    "no model in it": lambda r, f: f.write_bytes(onnx.ModelProto().SerializeToString()),
    "half of it": lambda r, f: cut(f, r.good.onnx, r.good.onnx.stat().st_size // 2),
    "all but a hundred bytes": lambda r, f: cut(f, r.good.onnx, r.good.onnx.stat().st_size - 100),
    "a terabyte": lambda r, f: sparse(f, begin=b"\x08\x0a"),
    "data by a path from the root": _apart(location="/etc/passwd"),
    "data by a path upwards": _apart(location="../secret.data"),
    "data by a path upwards from within": _apart(location="a/../../secret.data"),
    "data in a folder": _apart(location="sub/good.data"),
    "data in the folder itself": _apart(location="."),
    "data without a place": _apart(offset=0),
    "data that are a link": _linked,
    "data that are not there": _apart(location="missing.data"),
    "data of an attribute that point outside": _in_a_function,
    "data beyond the end": _apart(location="good.data", offset=1 << 40, length=4),
    "data before the begin": _apart(location="good.data", offset=-4, length=4),
    "data longer than their file": _apart(location="good.data", offset=0, length=1 << 40),
    "data at no number": _apart(location="good.data", offset="zero"),
    "images of one channel": _model(images=(1, 1, 224, 224)),
    "images of terabytes": _model(images=(1, 3, 1 << 24, 1 << 24)),
    "a batch of a billion": _model(images=(10**9, 3, 224, 224)),
    "images of no size": _model(images=(1, 3, 100, 100)),
    "images of half precision": _model(kind=TensorProto.FLOAT16),
    "images that are text": _model(kind=TensorProto.STRING),
    "a vector for images": _model(images=(10,)),
    "two inputs": _model(more=(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1,)),)),
    "an operator that nobody has": _model(
        nodes=[helper.make_node("Nobody", ["x"], ["y"], domain="no.body")]
    ),
    "an operator of another type": _model(nodes=[helper.make_node("StringNormalizer", ["x"], ["y"])]),
    "a loop without end": _model(nodes=[helper.make_node("Identity", ["y"], ["y"])]),
    "a node of what is not there": _model(nodes=[helper.make_node("Identity", ["q"], ["y"])]),
}  # fmt: skip


@pytest.mark.parametrize("case", ONNX)
def test_an_onnx_is_refused(room, case):
    file = room.inputs / "in.onnx"
    ONNX[case](room, file)
    (room.path / "secret.data").write_bytes(b"a secret" * 1000)
    said = room.refused("compare", "--weights", room.good.pth, "--onnx", file, file=file, says=".")
    assert "a secret" not in said and "root:" not in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_returns_no_numbers_departs_and_says_so(room, value):
    """It can be run: so this is a verdict, of exit code 1."""
    file, weight = room.inputs / "in.onnx", np.full((1, 197, SMALL.dim), value, np.float32)
    onnx.save(tokens_of(weights=[onnx.numpy_helper.from_array(weight, "w")]), file)
    told = room.told("compare", "--weights", room.good.pth, "--onnx", file)
    assert told.code == 1 and "Departs: onnx." in told.out and "finite" in told.out


@pytest.mark.parametrize("seed", range(2))
def test_an_onnx_with_flipped_bits_is_judged_or_refused_and_nothing_dies(room, seed):
    draw, size = random.Random(f"onnx {seed}"), room.good.onnx.stat().st_size
    codes = []
    for i in range(10):
        file = room.inputs / "in.onnx"
        flipped(
            file, room.good.onnx, *(draw.randrange(8 * (5000 if i < 6 else size)) for _ in range(3))
        )
        room.look()
        told = room.told("compare", "--weights", room.good.pth, "--onnx", file)
        codes.append(told.code)
        if told.code == 2:
            hostile.paragraph(told.err.strip(), file)
        else:
            assert told.code in (0, 1), told
        room.unchanged()
    assert len(codes) == 10


def test_a_model_that_returns_other_tokens_departs_and_says_so(room):
    file = room.inputs / "in.onnx"
    onnx.save(tokens_of(tokens=(1, 197, 7)), file)
    told = room.told("compare", "--weights", room.good.pth, "--onnx", file)
    assert told.code == 1 and "onnx DEPARTS" in told.out and "shape" in told.out


# Names, and numbers that are odd and sound


@pytest.mark.parametrize(
    "name",
    ["two  words", "“ö日本”", "it's \"quoted\"", "<b>bold&amp;<b>", "$(touch canary);`id`|&",
     "-rf", "*?[a]", "line\nend", "tab\tand\x1b[2Jcolours", "%20%00#?x=y"],
)  # fmt: skip
def test_files_of_any_name_are_read_and_written(room, name):
    """No shell sees a name, and a terminal sees no line end or command of it."""
    weights, made = room.inputs / f"{name}.pth", room.out / f"{name}.eqx"
    shutil.copy(room.good.pth, weights)
    archive = room.out / "made.tar.lz4"
    told = room.told("convert", "--weights", weights, "--output", archive)
    assert told.code == 0, told
    told = room.told("map", "--weights", archive, "--output", made)
    assert told.code == 0 and made.read_bytes() == room.good.eqx.read_bytes(), told
    told = room.told("compare", "--weights", weights, "--eqx", made, "--img-size", "32")
    assert told.code == 0 and "Everything holds." in told.out, told
    missing = room.inputs / f"missing {name}.eqx"
    room.before = {}
    (room.out / made.name).unlink()
    archive.unlink()
    room.refused(
        "export", "--eqx", missing, "--output", room.out / "x", file=missing, says="no file"
    )


def test_subnormal_numbers_are_kept(room):
    """They are finite: what reads them as zero would be another model."""
    tiny = np.float32(1e-40)
    file, archive, made = room.inputs / "in.pth", room.out / "a.tar.lz4", room.out / "a.eqx"
    bias = np.full_like(room.good.checkpoint["norm.bias"], tiny)
    saved(file, room.good.checkpoint, norm__bias=_torch("from_numpy")(bias))
    assert room.told("convert", "--weights", file, "--output", archive).code == 0
    assert room.told("map", "--weights", archive, "--output", made).code == 0
    assert any(a.size and (a == tiny).all() for a in leaves(made.read_bytes()))
    told = room.told("compare", "--weights", file, "--eqx", made, "--img-size", "32")
    assert told.code == 0, told
