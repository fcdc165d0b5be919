"""Damage at many places: a turned bit or a cut is refused, or hits nothing that counts."""

import random
import warnings
import zipfile

import lz4.frame
import numpy as np
import pytest

from selftests.support.hostile.archives import contents
from selftests.support.hostile.eqx import headers
from selftests.support.hostile.files import cut, flipped
from selftests.support.hostile.places import READ, read_words
from selftests.support.hostile.reading import read_leaves
from selftests.support.hostile.room import SMALL, paragraph, shown


def _outcome(room, file, *words, expected):
    """Refused like any bad file; or, where the damage hit nothing that counts, what the sound file
    gives."""
    room.look()
    made = room.out / "made.tar.lz4"
    told = room.told(*words, "--output", made)
    if told.code == 2:
        paragraph(told.err.strip(), file)
        assert not made.exists()
    else:
        assert told.code == 0 and contents(made)["weights.eqx"] == expected, told
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
        room.refused(*read_words(room, ending, file), file=file, says=".")


@pytest.mark.parametrize("seed", range(2))
def test_a_flipped_bit_in_the_table_of_safetensors_is_refused_or_changes_nothing(room, seed):
    """The numbers have no checksum in this format: another number is another checkpoint."""
    made = room.out / "made.tar.lz4"
    assert room.told("convert", "--weights", room.good.shards, "--output", made).code == 0
    expected = contents(made)["weights.eqx"]
    made.unlink()
    content = room.good.shards.read_bytes()
    end, draw = 8 + int.from_bytes(content[:8], "little"), random.Random(seed)
    codes = []
    for _ in range(25):
        file = room.inputs / "in.safetensors"
        flipped(file, room.good.shards, draw.randrange(8 * end))
        codes.append(_outcome(room, file, "convert", "--weights", file, expected=expected))
    assert codes.count(2) > 15, codes


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
            paragraph(told.err.strip(), file)
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


@pytest.mark.parametrize("seed", range(3))
def test_an_eqx_with_a_flipped_bit_in_a_header_is_refused_or_reads_right(room, seed):
    sound, draw = read_leaves(room.good.eqx), random.Random(seed)
    content, file, refused = room.good.eqx.read_bytes(), room.inputs / "in.eqx", 0
    places = headers(content)
    for _ in range(60):
        begin, end = draw.choice(places)
        flipped(file, room.good.eqx, draw.randrange(8 * begin, 8 * end))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read = read_leaves(file)
        refused += read is None
        if read is not None:
            assert all(np.array_equal(read[path], value) for path, value in sound.items())
    assert refused > 30


@pytest.mark.parametrize("seed", range(3))
def test_an_onnx_file_with_a_flipped_bit_is_refused_or_opened(room, seed):
    """Whether what is still a file runs is onnxruntime's to say, in a process of its own."""
    from dinov3_parity.fixtures.graphs import onnx_file
    from dinov3_parity.fixtures.ports.onnx_file import from_file
    from dinov3_parity.parity.errors import ParityError

    draw, file = random.Random(seed), room.inputs / "in.onnx"
    content = room.good.onnx.read_bytes()
    graph = len(content) - 200_000  # where names and nodes are, not numbers alone
    for number in range(60):
        place = draw.randrange(len(content)) if number % 2 else graph + draw.randrange(200_000)
        flipped(file, room.good.onnx, 8 * place + draw.randrange(8))
        try:
            onnx_file.inspected(file, SMALL, {})
            if number % 20 == 0:
                from_file(str(file))  # it is run for that
        except ParityError as error:
            paragraph(f"dinov3-parity: {shown(str(error))}", file)
