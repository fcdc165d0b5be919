"""A .pth that is damaged, lies, or holds something else than the release is refused."""

import io
import pickle
import shutil
import struct
import tarfile
import warnings

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic

from selftests.support.hostile.changed import Bomb, changed, of_torch, with_members
from selftests.support.hostile.files import sparse
from selftests.support.hostile.pth import pickled, records, zipped
from selftests.support.hostile.room import SAT


def _old_torch(room, file):
    """As torch wrote before 1.6, with code in the state dict."""
    import torch

    torch.save({"cls_token": torch.zeros(1), "x": Bomb(room.order)}, file,
               _use_new_zipfile_serialization=False)  # fmt: skip


def _oldest_torch(room, file):
    """As torch wrote before 0.1.10: a tar of pickles."""
    with tarfile.open(file, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(Bomb(room.order))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _scripted(room, file):
    """A TorchScript archive is a zip as well, with source code in it."""
    program = b"def forward(self):\n  return 1\n"
    held = records(room.good.pth)
    held |= {"good/constants.pkl": b"\x80\x02).", "good/code/__torch__.py": program}
    zipped(file, held.items())


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


def _norm(room, dtype="float32"):
    return of_torch("from_numpy")(np.array(room.good.checkpoint["norm.weight"])).to(of_torch(dtype))


def _doubled(room, file):
    held = records(room.good.pth)
    name, content = next((n, c) for n, c in held.items() if n.endswith("/data/3"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zipped(file, [*held.items(), (name, bytes(len(content)))])


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
        lambda r, f: with_members(r, f, "/tmp/dinov3-parity-evil"), "cannot be read",
    ),
    "a member above": (lambda r, f: with_members(r, f, "../../evil"), "cannot be read"),
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
        lambda r, f: changed(r, f, norm__weight=of_torch("zeros")(1).expand(1 << 40)),
        r"norm.weight \(1099511627776,\) instead of \(128,\)",
    ),
    "one name only, of terabytes": (
        lambda r, f: of_torch("save")({"x": of_torch("zeros")(1).expand(1 << 40, 1 << 20)}, f),
        "no DINOv3 ViT release",
    ),
    "NaN": (lambda r, f: changed(r, f, norm__weight=_norm(r) * float("nan")), "NaN or infinite"),
    "minus infinity": (
        lambda r, f: changed(r, f, cls_token=of_torch("full")((1, 1, 128), -float("inf"))),
        "NaN or infinite",
    ),
    "float16": (lambda r, f: changed(r, f, norm__weight=_norm(r, "float16")), "norm.weight float16"),
    "bfloat16": (
        lambda r, f: changed(r, f, norm__weight=_norm(r, "bfloat16")), "norm.weight bfloat16",
    ),
    "float64": (lambda r, f: changed(r, f, norm__weight=_norm(r, "float64")), "norm.weight float64"),
    "int32": (lambda r, f: changed(r, f, norm__weight=_norm(r, "int32")), "norm.weight int32"),
    "complex numbers": (
        lambda r, f: changed(r, f, norm__weight=_norm(r, "complex64")), "norm.weight complex64",
    ),
    "truth values": (lambda r, f: changed(r, f, norm__weight=_norm(r, "bool")), "norm.weight bool"),
    "a sparse tensor": (
        lambda r, f: changed(r, f, norm__weight=_sparse_tensor(r)), "norm.weight .*sparse",
    ),
    "a tensor without numbers": (
        lambda r, f: changed(r, f, norm__weight=of_torch("empty")(128, device="meta")),
        "norm.weight .*meta",
    ),
    "a name missing": (lambda r, f: changed(r, f, cls_token=None), "1 missing: cls_token"),
    "a name too many": (
        lambda r, f: changed(r, f, head__bias=_norm(r)), "1 unexpected: head.bias",
    ),
    "names with markup and a terminal's commands": (
        lambda r, f: _renamed(r, f, lambda n: f"<script>alert(1)</script>\x1b[2J\r\n{n}"),
        r"<script>alert\(1\)</script>\\x1b\[2J\\r\\n",
    ),
    "a name of a megabyte": (lambda r, f: _renamed(r, f, lambda n: n + "x" * 10**6), "no DINOv3"),
    "names that are numbers": (lambda r, f: of_torch("save")({1: _norm(r)}, f), "not a state dict"),
    "a list": (lambda r, f: of_torch("save")([_norm(r)], f), "not a state dict"),
    "a state dict within another": (
        lambda r, f: of_torch("save")({"model": {"cls_token": _norm(r)}}, f), "not a state dict",
    ),
    "a state dict of nothing": (lambda r, f: of_torch("save")({}, f), "no DINOv3 ViT release"),
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
