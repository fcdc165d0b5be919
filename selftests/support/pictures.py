"""Pictures made in code, some byte by byte, and what the suite shows of them."""

import io
import struct
import zlib
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from dinov3_parity.fixtures.images.photographs import load
from dinov3_parity.parity.errors import ParityError
from PIL import Image

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
