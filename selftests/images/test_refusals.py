"""What is no image, too large or damaged is refused in words, and nothing is started."""

import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from dinov3_parity.fixtures.images import photographs
from dinov3_parity.fixtures.images.photographs import load
from dinov3_parity.parity.errors import ParityError
from PIL import Image, ImageFile

from selftests.support.pictures import encoded, picture, png, refusal, shown, tiff


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.7\n1 0 obj\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(%pipe%touch /tmp/x) (w) file\n",
        b"PK\x03\x04" + bytes(60),
        b"cposix\nsystem\n(S'touch /tmp/x'\ntR.",
        b"\0\0\0\x18ftypheic" + bytes(60),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"II*\0\xff\xff\xff\xff",
        b"P6 4294967296 4294967296 255\n",
        b"P6 -4 -4 255\n",
        b"P5 0 0 255\n",
        bytes(4096),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_started(file, monkeypatch, content):
    import subprocess

    def started(*_, **__):
        pytest.fail("a program was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(os, "system", started)
    refusal(file(content))


def test_a_raster_format_that_is_not_listed_is_refused_with_the_list(file):
    assert "JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM" in refusal(file(picture(), "TGA"))


def webp(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP"))
    at = data.index(b"VP8 ") + 14
    data[at : at + 4] = struct.pack("<HH", width, height)
    return bytes(data)


BOMBS = {
    "png 100000x100000": png(100_000, 100_000, bytes(1000)),
    "png 9500x9500": png(9_500, 9_500, bytes(1000)),  # Pillow alone would warn
    "png 1x2147483647": png(1, 2**31 - 1, bytes(1000)),
    "webp": webp(16383, 16383),
    "gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;",
    "ppm": b"P6 99999 99999 255\n",
    "bmp": b"BM" + bytes(8) + struct.pack("<IIiiHHIIiiII", 54, 40, 99999, 99999, 1, 24, *[0] * 6),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(file, monkeypatch, bomb):
    def decoded(*_):
        pytest.fail("it was decoded")

    for kind in (Image.Image, ImageFile.ImageFile):
        monkeypatch.setattr(kind, "load", decoded)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some programs set it
    said = refusal(file(BOMBS[bomb]))
    assert "refused before it was decoded" in said and "89,478,485 pixels" in said


def test_pillow_s_settings_are_as_they_were_afterwards(file, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123_456)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    load(file(picture()), (16, 16), "lvd1689m")
    refusal(file(b"hello"))
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (123_456, True)


WHOLE = {
    "jpeg": lambda: encoded(picture(), "JPEG"),
    "progressive jpeg": lambda: encoded(picture(), "JPEG", progressive=True),
    "png": lambda: encoded(picture(), "PNG"),
    "palette png": lambda: encoded(picture("P"), "PNG"),
    "webp": lambda: encoded(picture(), "WEBP"),
    "lossless webp": lambda: encoded(picture(), "WEBP", lossless=True),
    "bmp": lambda: encoded(picture(), "BMP"),
    "gif": lambda: encoded(picture(), "GIF"),
    "tiff": lambda: encoded(picture(), "TIFF"),
    "lzw tiff": lambda: encoded(picture(), "TIFF", compression="tiff_lzw"),
    "ppm": lambda: encoded(picture(), "PPM"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_short_anywhere_is_refused_or_still_whole(file, monkeypatch, kind):
    """Still whole: what was cut off were not pixels, such as the last bytes of a directory."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as some programs set it
    data = WHOLE[kind]()
    whole = shown(file(data))
    ends = {*range(0, len(data), 1 + len(data) // 60), *range(len(data) - 20, len(data))}
    refused = 0
    for end in sorted(ends):
        path = file(data[:end])
        try:
            assert np.array_equal(shown(path), whole), (
                f"{end} of {len(data)} bytes gave other pixels"
            )
        except ParityError:
            refused += 1
    assert refused > len(ends) // 2


def test_a_flipped_bit_of_a_png_is_refused(file):
    """Anywhere but in the last four bytes: the checksum of the chunk that ends the file, and is empty."""
    data = encoded(picture(), "PNG")
    chance = random.Random(3)
    for _ in range(200):
        flipped = bytearray(data)
        flipped[chance.randrange(len(data) - 4)] ^= 1 << chance.randrange(8)
        refusal(file(bytes(flipped)))


@pytest.mark.parametrize("kind", WHOLE)
def test_damage_is_answered_by_a_paragraph_or_a_picture(file, kind):
    """Formats without a checksum may show other pixels; no other exception comes out, ever."""
    data = WHOLE[kind]()
    chance = random.Random(5)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 8)):
            damaged[chance.randrange(min(len(data), 200))] = chance.randrange(256)
        path = file(bytes(damaged))
        try:
            assert shown(path).shape == (16, 16, 3)
        except ParityError as error:
            assert str(path) in str(error)


def test_exif_that_pillow_doubts_is_refused_rather_than_its_orientation_lost(file):
    entry = struct.pack("<HHII", 0x010F, 2, 900, 5000)  # a maker's name that lies outside
    tags = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + b"\0" * 4
    body = b"Exif\0\0" + tags
    jpeg = encoded(picture(), "JPEG")
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
    assert "Pillow doubts it" in refusal(file(jpeg))


def test_the_thumbnail_of_a_raw_file_is_not_taken_for_the_photograph(file):
    pixels = bytes(range(256)) * 3
    assert shown(file(tiff(pixels, (8, 8, 8), 2))).shape == (16, 16, 3)
    assert "begins with a thumbnail" in refusal(file(tiff(pixels, (8, 8, 8), 2, subfile=1)))


def test_an_empty_file_is_said_to_be_empty(file):
    assert "has no bytes" in refusal(file(b""))


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path):
    assert "There is no image at" in refusal(tmp_path / "missing.png")
    assert "is a directory" in refusal(tmp_path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "device, pipe or socket" in refusal(tmp_path / "pipe.png")


def test_a_file_that_may_not_be_read_is_refused_with_what_allows_it(file, monkeypatch):
    path = file(picture())
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def denied(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", denied)
    assert "chmod u+r" in refusal(path)


@pytest.mark.parametrize("name", ["nul\0l.png", "n" * 5000])
def test_a_path_that_cannot_be_one_is_refused(tmp_path, name):
    with pytest.raises(ParityError, match="cannot be read"):
        load(tmp_path / name, (16, 16), "lvd1689m")


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "cannot be read" in refusal(tmp_path / "loop.png")


def test_a_file_larger_than_any_photograph_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "huge.webp"
    with path.open("wb") as file:
        file.truncate(photographs.LARGEST_FILE + 1)
    real = Path.open

    def opened(self, mode="r", *words):
        assert self != path, "it was opened"
        return real(self, mode, *words)

    monkeypatch.setattr(Path, "open", opened)
    assert "larger than 1,073,741,824 bytes" in refusal(path)


def test_a_name_cannot_act_on_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[2J\n<b>.png"
    path.write_bytes(b"hello")
    with pytest.raises(ParityError) as raised:
        load(path, (16, 16), "lvd1689m")
    assert str(raised.value).isprintable()
    path.write_bytes(encoded(picture(), "PNG"))
    assert load(path, (16, 16), "lvd1689m").words.isprintable()
