"""What is odd and yet sound gives the right result."""

import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from selftests.support.hostile.archives import contents, member, tarred
from selftests.support.hostile.changed import changed, of_torch, with_members
from selftests.support.hostile.eqx import leaves, serialised
from selftests.support.hostile.reading import read_leaves


def _weights(room, file):
    """Equimo's leaves of what convert makes of a file."""
    made = room.out / "made.tar.lz4"
    room.look()
    told = room.told("convert", "--weights", file, "--output", made)
    assert told.code == 0, told
    room.unchanged()
    return contents(made)["weights.eqx"]


def _foreign_members(room, file):
    """Inside the archive's own folder, as far as their names' beginnings go."""
    with_members(room, file, "good/../../../evil", "good/data/x<script>", "good/\\evil")


def _parameters(room, file):
    import torch

    tensors = {n: torch.from_numpy(np.array(v)) for n, v in room.good.checkpoint.items()}
    torch.save({n: torch.nn.Parameter(value) for n, value in tensors.items()}, file)


def _transposed(room, file):
    """The same numbers, in memory the other way round."""
    import torch

    tensor = torch.from_numpy(np.array(room.good.checkpoint["blocks.0.mlp.fc1.weight"]))
    changed(room, file, blocks__0__mlp__fc1__weight=tensor.T.contiguous().T)


def _shared(room, file):
    """Two tensors in one storage."""
    import torch

    two = ("norm.weight", "norm.bias")
    both = torch.from_numpy(np.stack([room.good.checkpoint[name] for name in two]))
    changed(room, file, norm__weight=both[0], norm__bias=both[1])


def _without_sums(room, file):
    import torch

    torch.serialization.set_crc32_options(False)
    try:
        changed(room, file)
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
    changed(room, file, norm__bias=of_torch("full")((1,), 0.25).expand(128))
    read = leaves(_weights(room, file))
    assert any(leaf.shape == (128,) and (leaf == 0.25).all() for leaf in read)


TINY = np.float32([1e-45, -1e-45, 1.1754942e-38, -0.0] * 32)  # subnormal numbers, and minus zero


def test_subnormal_numbers_go_through_every_step(room):
    file, made = room.inputs / "in.pth", room.out / "made.eqx"
    changed(room, file, norm__bias=of_torch("from_numpy")(TINY))
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
    read, sound = read_leaves(file), read_leaves(room.good.eqx)
    assert all(np.array_equal(read[path], value) for path, value in sound.items())


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("begin", ["", "./"])
def test_an_odd_archive_is_read_right(room, format, begin):
    file, made = room.inputs / "in.tar.lz4", room.out / "made.eqx"
    held = contents(room.good.archive)
    names = {name.removeprefix("./"): content for name, content in held.items()}
    tarred(file, (member(begin + name, content) for name, content in names.items()), format)
    assert room.told("map", "--weights", file, "--output", made).code == 0
    assert made.read_bytes() == room.good.eqx.read_bytes()
