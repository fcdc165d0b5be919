"""An .eqx with code, claims or other arrays in it is refused."""

import pickle
import shutil

import numpy as np
import pytest

from selftests.support.hostile.changed import Bomb, bad_header, pickled_leaf
from selftests.support.hostile.eqx import headed, headers, instead, leaves, serialised
from selftests.support.hostile.files import sparse
from selftests.support.hostile.reading import read_leaves


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


def _zipped(file):
    with file.open("wb") as stream:  # by its name it would be given another ending
        np.savez(stream, np.zeros(3))


EQX = {
    "an array of objects with code": (_at(0, lambda a: pickled_leaf()), "Python objects"),
    "an array of objects behind sound ones": (_at(30, lambda a: pickled_leaf()), "Python objects"),
    "a bare pickle with code": (
        lambda r, f: f.write_bytes(pickle.dumps(Bomb(r.order))), "array 1 of .* is no array",
    ),
    "a zip of arrays": (lambda r, f: _zipped(f), "is no array"),
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
    "a shape of terabytes": (_at(0, lambda a: bad_header((1 << 44,))), "instead of"),
    "a shape whose product wraps around": (_at(0, lambda a: bad_header((1 << 63, 4))), "instead of"),
    "a shape below zero": (_at(0, lambda a: bad_header((-1, 128))), "instead of|is no array"),
    "a shape of a hundred sides": (_at(0, lambda a: bad_header((1,) * 100)), "instead of"),
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


def test_the_file_that_was_checked_is_the_one_that_is_read(room):
    """Equinox adds an ending to a name that has none, and would open the file beside it."""
    file = room.inputs / "mapped"
    shutil.copy(room.good.eqx, file)
    wrong = leaves(room.good.eqx.read_bytes())
    file.with_suffix(".eqx").write_bytes(serialised([wrong[0] * 2, *wrong[1:]]))
    read, sound = read_leaves(file), read_leaves(room.good.eqx)
    assert all(np.array_equal(read[path], value) for path, value in sound.items())
