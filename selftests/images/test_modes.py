"""Every mode, depth and frame becomes three channels of 8 bits, or is refused."""

import io
import struct

import numpy as np
import pytest
from dinov3_parity.fixtures.images.photographs import load
from PIL import Image

from selftests.support.pictures import colour, encoded, picture, png, refusal, shown, tiff


@pytest.mark.parametrize(("level", "gray"), [(0, 0), (1, 255)])
def test_black_and_white_is_0_and_255(file, level, gray):
    assert colour(file(Image.new("1", (16, 16), level))) == (gray,) * 3


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM"])
def test_gray_is_three_equal_channels(file, format):
    assert colour(file(Image.new("L", (16, 16), 77), format)) == (77,) * 3


@pytest.mark.parametrize("alpha", [0, 128, 255])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_transparency_is_dropped_and_the_colour_under_it_shows(file, format, alpha):
    """As convert("RGB") does: nothing is laid over white or black."""
    assert colour(file(Image.new("LA", (16, 16), (77, alpha)), format)) == (77,) * 3
    path = file(Image.new("RGBA", (16, 16), (200, 100, 50, alpha)), format)
    assert colour(path) == (200, 100, 50)
    assert "its transparency dropped" in load(path, (16, 16), "lvd1689m").words


def test_a_colour_marked_transparent_shows(file):
    red = Image.new("RGB", (16, 16), (255, 0, 0))
    assert colour(file(red, transparency=(255, 0, 0))) == (255, 0, 0)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}), ("PNG", {"transparency": 2}), ("PNG", {"transparency": b"\xff\x80\x00"}),
        ("GIF", {}), ("GIF", {"transparency": 2}), ("TIFF", {}), ("BMP", {}),
    ],
)  # fmt: skip
def test_a_palette_shows_its_colours_transparent_or_not(file, format, options):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16) % 3
    indexed = Image.new("P", (16, 16))
    indexed.putdata(pixels.ravel().tolist())
    palette = np.array([[1, 2, 3], [100, 150, 200], [250, 128, 9]], np.uint8)
    indexed.putpalette(palette.tobytes())
    assert np.array_equal(shown(file(indexed, format, **options)), palette[pixels])


def test_premultiplied_gray_is_divided_by_its_transparency(file):
    data = bytes((50, 128)) * 256
    assert colour(file(tiff(data, (8, 8), extra=(1,)))) == (50 * 255 // 128,) * 3


SIXTEEN = [
    (0, 0),
    (65535, 255),
    (257 * 77, 77),
    (257 * 77 + 128, 77),
    (257 * 77 + 129, 78),
    (256, 1),
]


@pytest.mark.parametrize(("level", "gray"), SIXTEEN)
@pytest.mark.parametrize("kind", ["PNG", "PNG by hand", "TIFF", "TIFF big end", "TIFF lzw", "PGM"])
def test_16_bit_gray_is_scaled_to_the_nearest_of_8_bits(file, kind, level, gray):
    high = b"".join([struct.pack(">H", level)] * 256)
    rows = b"".join(b"\0" + high[:32] for _ in range(16))
    sixteen = Image.fromarray(np.full((16, 16), level, np.uint16))
    content = {
        "PNG": lambda: encoded(sixteen, "PNG"),
        "PNG by hand": lambda: png(16, 16, rows, depth=16),
        "TIFF": lambda: tiff(struct.pack("<H", level) * 256, (16,)),
        "TIFF big end": lambda: tiff(high, (16,), order=">"),
        "TIFF lzw": lambda: encoded(sixteen, "TIFF", compression="tiff_lzw"),
        "PGM": lambda: b"P5 16 16 65535\n" + high,
    }[kind]
    path = file(content())
    assert colour(path) == (gray,) * 3
    assert "scaled from 65,535 to 255 levels" in load(path, (16, 16), "lvd1689m").words


@pytest.mark.parametrize(("level", "gray"), [(0, 0), (4095, 255), (2048, 128), (16, 1)])
def test_12_bit_gray_is_scaled_from_its_own_white(file, level, gray):
    pair = (level << 12 | level).to_bytes(3, "big")
    assert colour(file(tiff(pair * 128, (12,)))) == (gray,) * 3
    assert colour(file(b"P5 16 16 4095\n" + struct.pack(">H", level) * 256)) == (gray,) * 3


def test_16_bit_colour_keeps_its_upper_byte(file):
    level = bytes((200, 255, 100, 0, 50, 7))
    assert colour(file(png(16, 16, (b"\0" + level * 16) * 16, depth=16, kind=2))) == (200, 100, 50)
    assert colour(file(tiff(level * 256, (16,) * 3, 2, order=">"))) == (200, 100, 50)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (tiff(struct.pack("<I", 9) * 256, (32,)), "32-bit or signed integers"),
        (tiff(struct.pack("<h", -9) * 256, (16,), sample_format=(2,)), "32-bit or signed integers"),
        (tiff(struct.pack("<f", 0.5) * 256, (32,), sample_format=(3,)), "floating-point"),
        (b"Pf 16 16 -1.0\n" + struct.pack("<f", 0.5) * 256, "floating-point"),
        (tiff(struct.pack("<H", 9) * 256, (16,), photometric=0), "in which 0 is white"),
    ],
)
def test_gray_whose_white_is_not_told_is_refused(file, content, said):
    assert said in refusal(file(content))


INKS = [(0, 255, 255, 0), (10, 200, 30, 40), (0, 0, 0, 255), (0, 0, 0, 0)]


@pytest.mark.parametrize("inks", INKS)
def test_cmyk_is_what_its_inks_leave_of_white(file, inks):
    *colours, black = inks
    expected = [(255 - ink) * (255 - black) / 255 for ink in colours]
    image = Image.new("CMYK", (16, 16), inks)
    assert np.allclose(colour(file(image, "TIFF")), expected, atol=1)
    jpeg = encoded(image, "JPEG", quality=100)
    start = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    without = jpeg[:start] + jpeg[start + 16 :]
    for content in (jpeg, without):  # inverted, whether or not the file says it is Adobe's
        assert np.allclose(colour(file(content)), expected, atol=3)


def test_an_inverted_cmyk_jpeg_by_hand_is_not_a_negative(file):
    """Its stored samples, read without Pillow's turning them round, are 255 less the inks."""
    jpeg = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    with Image.open(io.BytesIO(jpeg)) as raw:
        raw.tile = [raw.tile[0]._replace(args=("CMYK", *raw.tile[0].args[1:]))]
        assert np.allclose(raw.getpixel((3, 3)), (255, 0, 0, 255), atol=2)
    assert np.allclose(colour(file(jpeg)), (255, 0, 0), atol=3)


def test_ycbcr_is_converted_by_jpeg_s_formula(file):
    y, cb, cr = 100, 90, 180
    expected = (
        y + 1.402 * (cr - 128),
        y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
        y + 1.772 * (cb - 128),
    )
    path = file(Image.new("YCbCr", (16, 16), (y, cb, cr)), "TIFF")
    assert np.allclose(colour(path), expected, atol=1)


def test_lab_s_red_is_red(file):
    """sRGB's red has L* 54.3, a* 80.8, b* 69.9 under D50; a TIFF stores a* and b* with their sign."""
    data = struct.pack("Bbb", round(54.3 * 2.55), 81, 70) * 256
    assert np.allclose(
        colour(file(tiff(data, (8, 8, 8), 8))), (255, 0, 0), atol=6
    )  # of whole a* and b*


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(file, format):
    red, blue = (Image.new("RGB", (16, 16), c) for c in ((255, 0, 0), (0, 0, 255)))
    lossless = {"lossless": True} if format == "WEBP" else {}
    path = file(red, format, save_all=True, append_images=[blue, red], **lossless)
    assert colour(path) == (255, 0, 0)
    assert "the first of several frames" in load(path, (16, 16), "lvd1689m").words


def test_a_camera_s_mpo_is_read_as_its_first_jpeg(file):
    red, blue = (Image.new("RGB", (16, 16), c) for c in ((255, 0, 0), (0, 0, 255)))
    path = file(red, "MPO", save_all=True, append_images=[blue], quality=100)
    assert np.allclose(colour(path), (255, 0, 0), atol=2)


def test_a_colour_profile_is_left_alone_and_said(file):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_it = file(picture(size=(16, 16)), icc_profile=profile)
    assert np.array_equal(shown(with_it), np.array(picture(size=(16, 16))))
    assert (
        "its colour profile not applied (taken as sRGB)" in load(with_it, (16, 16), "sat493m").words
    )
