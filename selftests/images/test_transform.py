"""A photograph becomes what Meta's transform makes of it."""

import numpy as np
import pytest
from dinov3_parity.fixtures.images.photographs import load
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from PIL import Image, ImageOps

from selftests.support.pictures import CHINA, SIZES, STATISTICS, encoded, picture, shown


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
