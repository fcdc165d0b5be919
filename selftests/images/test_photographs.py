"""An image file from anywhere becomes what Meta's transform makes of it, or an error says why not."""

import io
import os
import random
import struct
import zlib
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from dinov3_parity.fixtures.images import photographs
from dinov3_parity.fixtures.images.photographs import load, parse_size
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.variants import VARIANTS

CHINA = Path(distribution("scikit-learn").locate_file("sklearn/datasets/images/china.jpg"))
STATISTICS = {  # as the DINOv3 README gives them
    "lvd1689m": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "sat493m": ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143)),
}
SIZES = [(224, 224), (224, 320), (320, 224), (16, 16), (16, 640), (768, 1024)]


def levels(images: np.ndarray, dataset: str = "lvd1689m") -> np.ndarray:
    """The pixels (H, W, 3) from 0 to 255 that the one image was made of, which must be whole."""
    mean, std = np.array(STATISTICS[dataset])
    pixels = (images[0].transpose(1, 2, 0) * std + mean) * 255
    assert np.abs(pixels - pixels.round()).max() < 1e-3
    return pixels.round().astype(int)


def shown(path: Path, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    return levels(load(path, size, "lvd1689m").images)


def colour(path: Path) -> tuple[int, ...]:
    """The one colour of a file that has one."""
    pixels = shown(path)
    assert (pixels == pixels[0, 0]).all()
    return tuple(pixels[0, 0])


def refusal(path: Path, size: tuple[int, int] = (16, 16)) -> str:
    """The one paragraph that refuses a file, which names it."""
    with pytest.raises(ParityError) as raised:
        load(path, size, "lvd1689m")
    words = str(raised.value)
    assert words.isprintable() and path.name in words and words.endswith(".")
    return words


def picture(mode: str = "RGB", size: tuple[int, int] = (37, 23)) -> Image.Image:
    """Noise over a gradient: no two rows, columns or corners alike."""
    pixels = np.random.default_rng(7).integers(0, 90, (size[1], size[0], 3), np.uint8)
    pixels[..., 0] += np.linspace(0, 160, size[0]).astype(np.uint8)
    pixels[..., 1] += np.linspace(0, 160, size[1]).astype(np.uint8)[:, None]
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, data: bytes = b"", depth: int = 8, kind: int = 0) -> bytes:
    """A PNG by hand: ``data`` is its raw rows, each behind a filter byte."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def tiff(
    data: bytes, bits: tuple[int, ...], photometric: int = 1, order: str = "<", **more
) -> bytes:
    """A TIFF of 16×16 by hand, uncompressed, little (``<``) or big (``>``) end first.

    ``more`` may hold the values of ``extra`` (338), ``subfile`` (254) and ``sample_format`` (339).
    """
    values = {
        254: (more.get("subfile", 0),), 256: (16,), 257: (16,), 258: bits, 259: (1,),
        262: (photometric,), 273: (8,), 277: (len(bits),), 278: (16,), 279: (len(data),),
        339: more.get("sample_format", (1,) * len(bits)),
    }  # fmt: skip
    if "extra" in more:
        values[338] = more["extra"]
    data += b"\0" * (len(data) % 2)
    directory, beside = 8 + len(data), b""
    after = directory + 2 + 12 * len(values) + 4
    entries = b""
    for tag, numbers in sorted(values.items()):
        body = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if len(body) > 4:
            body, beside = struct.pack(order + "I", after + len(beside)), beside + body
        entries += struct.pack(order + "HHI", tag, 3, len(numbers)) + body.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, directory)
    count = struct.pack(order + "H", len(values))
    return head + data + count + entries + b"\0" * 4 + beside


@pytest.fixture
def file(tmp_path):
    """Write bytes, or an image in a format, to a file of a name that says nothing of its content."""

    def write(content: bytes | Image.Image, format: str = "PNG", **options) -> Path:
        path = tmp_path / "picture"
        data = content if isinstance(content, bytes) else encoded(content, format, **options)
        path.write_bytes(data)
        return path

    return write


# ---- the transform


@pytest.mark.parametrize("dataset", STATISTICS)
@pytest.mark.parametrize("size", SIZES)
def test_a_photograph_becomes_what_pillow_and_the_readme_make_of_it(size, dataset):
    with Image.open(CHINA) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    resized = upright.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    mean, std = np.array(STATISTICS[dataset])
    expected = ((np.array(resized) / 255.0 - mean) / std).transpose(2, 0, 1)[None]
    images = load(CHINA, size, dataset).images
    assert images.shape == (1, 3, *size)
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-6)


def test_normalization_is_bit_for_bit_torch_s(file):
    """The order of the README's ToDtype and Normalize: over 255, less the mean, over the deviation."""
    import torch

    every_level = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in STATISTICS["sat493m"])
    pixels = torch.from_numpy(every_level).permute(2, 0, 1)
    expected = pixels.float().div(255).sub(mean).div(std).numpy()
    path = file(Image.fromarray(every_level))
    assert np.array_equal(load(path, (16, 16), "sat493m").images[0], expected)


@pytest.mark.parametrize("dataset", sorted({v.dataset for v in VARIANTS.values()}))
def test_every_variant_s_dataset_has_its_statistics(file, dataset):
    gray = file(Image.new("RGB", (16, 16), (255, 255, 255)))
    mean, std = np.array(STATISTICS[dataset])
    images = load(gray, (16, 16), dataset).images
    np.testing.assert_allclose(images[0, :, 3, 5], (1 - mean) / std, rtol=1e-6)


def test_a_dataset_that_is_none_is_refused_in_words(file):
    with pytest.raises(ParityError, match=r"no image statistics of 'imagenet'.*lvd1689m, sat493m"):
        load(file(picture()), (16, 16), "imagenet")


def test_images_are_float32_and_contiguous():
    images = load(CHINA, (32, 48), "lvd1689m").images
    assert images.dtype == np.float32
    assert images.flags.c_contiguous


def filtered(size: tuple[int, int], dtype) -> np.ndarray:
    """The photograph through torch's antialiased bilinear filter, (H, W, 3) from 0 to 255."""
    import torch

    pixels = torch.from_numpy(np.array(Image.open(CHINA))).permute(2, 0, 1)[None].to(dtype)
    resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).double().numpy()


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_within_a_level_of_torch_s_filter_in_floating_point(size):
    """Pillow rounds to 8 bits after each of two axes, half a level each; its weights, in fixed point
    of 22 bits, add less than 0.01: no pixel may be farther off than 1.01 levels of 255."""
    import torch

    apart = np.abs(shown(CHINA, size) - filtered(size, torch.float32))
    print(f"{size}: largest {apart.max():.3f}, rms {np.sqrt((apart**2).mean()):.3f} levels")
    assert apart.max() <= 1.01
    assert np.sqrt((apart**2).mean()) < 0.5  # that of one rounding is 0.29, of two in a row 0.41


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_within_a_level_of_torch_s_filter_on_8_bits(size):
    """The README's very case: torchvision hands an 8-bit tensor to this function."""
    import torch

    apart = np.abs(shown(CHINA, size) - filtered(size, torch.uint8))
    print(f"{size}: largest {apart.max():.0f}, differing {(apart > 0).mean():.2%} of pixels")
    assert apart.max() <= 1


# ---- orientation

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


# ---- modes


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


def test_the_words_are_a_sentence_of_what_was_read_and_done(file):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = file(picture("LA"), exif=exif)
    assert load(path, (32, 48), "sat493m").words == (
        "PNG, mode LA, 37x23, turned upright from orientation 6, its transparency dropped, converted to "
        "RGB, resized to 32x48 (bilinear with antialias), normalized with the statistics of sat493m."
    )


def test_the_content_decides_the_format_and_not_the_name(tmp_path):
    for name in ("photo.jpg", "photo.eps", "photo.pdf", "photo.tar.gz"):
        path = tmp_path / name
        path.write_bytes(encoded(picture(size=(16, 16)), "PNG"))
        assert np.array_equal(shown(path), np.array(picture(size=(16, 16))))


# ---- what is refused


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


# ---- the size

SIDES = st.integers(1, 128).map(lambda n: 16 * n)


@given(SIDES, SIDES)
def test_a_size_is_read_as_height_then_width(height, width):
    assert parse_size(f"{height}x{width}") == (height, width)
    assert parse_size(f" {height}×{width} ") == (height, width)
    assert parse_size(str(height)) == (height, height)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("230", "224 or 240 for 230"),
        ("224x225", "224 or 240 for 225"),
        ("100x200", "96 or 112 for 100 and 192 or 208 for 200"),
        ("0", "16 for 0"),
        ("7x32", "16 for 7"),
        ("16x0", "16 for 0"),
        ("1x4095", "16 for 1 and 4080 or 4096 for 4095"),
    ],
)
def test_a_size_that_patches_do_not_fill_is_refused_with_the_nearest(words, near):
    with pytest.raises(ParityError, match=f"multiples of 16.*Nearest: {near}\\."):
        parse_size(words)


@pytest.mark.parametrize("words", ["4112", "16x4112", "2048x2064", "999999999x16", "4096x1040"])
def test_a_size_beyond_the_bounds_is_refused_with_them(words):
    with pytest.raises(ParityError, match="at most 4096 a side and 4,194,304 pixels"):
        parse_size(words)


@pytest.mark.parametrize("words", ["4096x1024", "2048", "16x4096", "16"])
def test_the_bounds_themselves_are_sizes(words):
    assert parse_size(words)


HOSTILE = [
    "", " ", "x", "224x", "x224", "224x224x3", "-224", "+224", "224.0", "2e2", "2_24", "224 x 224",
    "224,224", "(224, 224)", "HxW", "NaN", "inf", "٢٢٤", "２２４", "224\n224", "224\0", "9" * 5000,
    "__import__('os')", "<b>224</b>", "\x1b[2J", "224*224", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_size_is_refused_in_words(words):
    with pytest.raises(ParityError, match="is not an image size") as raised:
        parse_size(words)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


@given(st.text())
def test_no_text_does_more_than_be_refused(words):
    try:
        height, width = parse_size(words)
    except ParityError:
        return
    assert 0 < height <= 4096 and 0 < width <= 4096 and height % 16 == width % 16 == 0


@pytest.mark.parametrize("size", [(230, 224), (0, 16), (8192, 8192), (-16, 16)])
def test_load_holds_to_the_same_sizes(size):
    with pytest.raises(ParityError, match="An image of"):
        load(CHINA, size, "lvd1689m")
