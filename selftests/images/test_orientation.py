"""A photograph stands upright, however the camera was held."""

import struct

import numpy as np
import pytest
from dinov3_parity.fixtures.images.photographs import load
from PIL import Image

from selftests.support.pictures import encoded, picture, shown

TURNED = {  # how the camera stored an upright picture that carries this orientation
    1: (), 2: ("FLIP_LEFT_RIGHT",), 3: ("ROTATE_180",), 4: ("FLIP_TOP_BOTTOM",),
    5: ("TRANSPOSE",), 6: ("ROTATE_90",), 7: ("TRANSVERSE",), 8: ("ROTATE_270",),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_every_orientation_shows_the_upright_picture(file, format, options, orientation):
    upright = picture(size=(48, 32))
    stored = upright
    for turn in TURNED[orientation]:
        stored = stored.transpose(Image.Transpose[turn])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = file(stored, format, exif=exif, **options)
    assert np.array_equal(shown(path, (32, 48)), np.array(upright))
    words = load(path, (32, 48), "lvd1689m").words
    assert "32x48" in words
    assert (f"turned upright from orientation {orientation}" in words) == (orientation > 1)


def test_the_orientation_of_a_jpeg_by_hand_is_applied(file):
    """Orientation 6, the one of a phone held upright: its top row is stored as the right column."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255  # left half white: the upper half, once it is upright
    tags = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 6, 0) + b"\0" * 4
    body = b"Exif\0\0" + tags
    jpeg = encoded(Image.fromarray(stored), "JPEG", quality=100)
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
    pixels = shown(file(jpeg), (32, 16))
    assert pixels[:14].min() > 250
    assert pixels[18:].max() < 5


def test_an_orientation_that_xmp_records_is_applied(file):
    upright = picture(size=(48, 32))
    stored = upright.transpose(Image.Transpose.ROTATE_180)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    path = file(stored, "WEBP", lossless=True, xmp=xmp)
    assert np.array_equal(shown(path, (32, 48)), np.array(upright))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_leaves_the_picture_as_it_is(file, orientation):
    upright = picture(size=(48, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = file(upright, exif=exif)
    assert np.array_equal(shown(path, (32, 48)), np.array(upright))
    assert "upright" not in load(path, (32, 48), "lvd1689m").words
