"""A .tar.lz4 that leads elsewhere, holds too much or something else is refused."""

import json
import tarfile

import lz4.frame
import numpy as np
import pytest

from selftests.support.hostile.archives import (
    contents,
    member,
    model_config,
    packed,
    rebuilt,
    tarred,
)
from selftests.support.hostile.changed import bad_header, pickled_leaf
from selftests.support.hostile.eqx import instead, leaves, serialised


def _beside(*extra, **how):
    """The sound members, and others before them."""
    return lambda room, file: tarred(
        file,
        [*extra, *(member(*one) for one in contents(room.good.archive).items())],
        **how,
    )


def _metadata(text):
    return lambda room, file: rebuilt(file, room.good.archive, metadata=text)


def _config(**changed):
    def make(room, file):
        told = model_config(room.good.archive)
        told["model_config"] |= changed
        rebuilt(file, room.good.archive, metadata=json.dumps(told).encode())

    return make


def _leaf(place, other, **saving):
    """Another leaf among Equimo's."""

    def make(room, file):
        weights = contents(room.good.archive)["weights.eqx"]
        new = other(leaves(weights)[place]) if callable(other) else other
        rebuilt(file, room.good.archive, weights=instead(weights, place, new))

    return make


def _holes(room, file):
    """A member of a terabyte that is nothing but holes: the stream itself is short."""
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "weights.eqx",
           "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,512",
           "GNU.sparse.numblocks": "1"}  # fmt: skip
    held = contents(room.good.archive)
    tarred(file, [member("metadata.json", held["metadata.json"]),
                  member("weights.eqx", bytes(512), pax_headers=pax)])  # fmt: skip


def _nested_frames(room, file):
    """Zeros packed again and again: each layer is another archive's."""
    content = bytes(64 << 20)
    for _ in range(3):
        content = lz4.frame.compress(content)
    file.write_bytes(content)


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
    "weights of objects": (_leaf(1, lambda a: pickled_leaf()), "Python objects"),
    "weights of terabytes": (_leaf(1, lambda a: bad_header((1 << 40,))), "instead of"),
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
    found = leaves(contents(room.good.archive)["weights.eqx"])
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


def test_other_numbers_in_an_archive_without_checksum_depart(room):
    file = room.inputs / "in.tar.lz4"
    _leaf(0, lambda leaf: -leaf)(room, file)
    told = room.told("compare", "--weights", room.good.pth, "--equimo", file)
    assert told.code == 1 and "equimo DEPARTS" in told.out
