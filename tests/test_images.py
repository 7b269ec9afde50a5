"""Images, against Pillow by hand."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from lic.images import (
    UnreadableImage,
    crop_to,
    image_size,
    pad_at_least,
    pad_to_multiple,
    quantise,
    read_image,
    read_pixels,
    to_uint8,
    write_image,
)
from tests.profiles import GAMMA, WIDE, grey_profile, ink_profile, wide_gamut_profile

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def _pixels(path: Path, to_srgb: bool = False) -> np.ndarray:
    image = read_image(path, to_srgb)
    assert image.dtype == torch.float32 and image.shape[:2] == (1, 3) and image.min() >= 0 and image.max() <= 1
    return (image[0] * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "RGB"])
def test_modes(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "image.tif")
    np.testing.assert_array_equal(_pixels(tmp_path / "image.tif"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_and_rounded(suffix: str, tmp_path: Path) -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / f"grey{suffix}")
    expected = np.rint(values / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(_pixels(tmp_path / f"grey{suffix}"), np.stack([expected] * 3, axis=-1))


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UnreadableImage, match=r"32-bit floating point numbers of Pillow's mode 'F'; expected unsigned"):
        read_image(tmp_path / "float.tif")


def grey_tiff(bits: int, samples: bytes, photometric: int = 1, sample_format: int = 1) -> bytes:
    """An uncompressed TIFF of 8 x 6 px, which Pillow would not write; 1: black is zero, unsigned numbers."""
    tags = [(256, 8), (257, 6), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1), (278, 6),
            (279, len(samples)), (339, sample_format)]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + samples


@pytest.mark.parametrize(
    ("bits", "samples", "photometric", "expected"),
    [
        (12, bytes([0x7F, 0xF7, 0xFF]) * 24, 1, 127),  # 2047 of 4095; Pillow says "16 bits"
        (16, struct.pack("<48H", *[60000] * 48), 0, 22),  # white is zero
        (8, bytes([200]) * 48, 0, 55),
    ],
)
def test_a_grey_tiff_is_as_bright_as_its_tags_say(
    bits: int, samples: bytes, photometric: int, expected: int, tmp_path: Path
) -> None:
    (tmp_path / "grey.tif").write_bytes(grey_tiff(bits, samples, photometric))
    assert np.unique(_pixels(tmp_path / "grey.tif")).tolist() == [expected]


def test_signed_and_long_samples_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "signed.tif").write_bytes(grey_tiff(16, struct.pack("<48h", *[30000] * 48), sample_format=2))
    (tmp_path / "long.tif").write_bytes(grey_tiff(32, struct.pack("<48I", *[30000] * 48)))
    for name, line in (("signed", "its samples are 16-bit signed numbers"), ("long", "32-bit unsigned numbers")):
        with pytest.raises(UnreadableImage, match=line):
            read_image(tmp_path / f"{name}.tif")


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    alpha = np.arange(600, dtype=np.int64).reshape(20, 30, 1) % 256
    Image.fromarray(np.concatenate([RGB, alpha.astype(np.uint8)], axis=2)).save(tmp_path / "rgba.png")
    expected = (RGB * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(_pixels(tmp_path / "rgba.png") - expected).max() <= 0.51
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert _pixels(tmp_path / "palette.png")[0, :2].tolist() == [[40, 50, 60], [255, 255, 255]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_turned_tiff_is_turned_once(mode: str, orientation: int, tmp_path: Path) -> None:
    """Pillow turns a TIFF when it is loaded, and has its size turned before."""
    image, exif = Image.fromarray(RGB).convert(mode), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "image.png", exif=exif)
    for compression in ("raw", "tiff_lzw"):
        image.save(tmp_path / "image.tif", exif=exif, compression=compression)
        np.testing.assert_array_equal(_pixels(tmp_path / "image.tif"), _pixels(tmp_path / "image.png"))
        assert image_size(tmp_path / "image.tif") == _pixels(tmp_path / "image.png").shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "image.png", exif=exif)
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(RGB),
    }
    np.testing.assert_array_equal(_pixels(tmp_path / "image.png"), turned[orientation])


def _shown(image: Image.Image, profile: bytes) -> np.ndarray:
    """Return what a viewer that uses LittleCMS shows."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, source, target, outputMode="RGB"))


def _srgb(light: np.ndarray) -> np.ndarray:
    """Return 8-bit sRGB of linear RGB in [0, 1] (IEC 61966-2-1)."""
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_a_wide_gamut_is_shown_in_srgb(tmp_path: Path) -> None:
    image, profile = Image.fromarray(RGB), wide_gamut_profile()
    srgb_to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    expected = _srgb((RGB / 255) ** GAMMA @ WIDE.T @ np.linalg.inv(srgb_to_xyz).T)
    for suffix in (".png", ".tif", ".webp"):
        path = tmp_path / f"wide{suffix}"
        image.save(path, icc_profile=profile, **({"lossless": True} if suffix == ".webp" else {}))
        np.testing.assert_array_equal(_pixels(path), RGB, "without being asked, pixels stay")
        np.testing.assert_array_equal(_pixels(path, to_srgb=True), _shown(image, profile))
        assert np.abs(_pixels(path, to_srgb=True) - expected).max() < 2
    assert np.abs(expected - RGB).max() > 30


def test_grey_inks_and_lab_are_shown_in_srgb(tmp_path: Path) -> None:
    grey = Image.fromarray(RGB[..., 0])
    ramp = np.linspace(0, 255, 30, dtype=np.uint8)
    inks = Image.merge("CMYK", [Image.new("L", (30, 20))] * 3 + [Image.fromarray(np.tile(ramp, (20, 1)))])
    lab = Image.merge("LAB", [Image.fromarray(np.tile(ramp, (20, 1)))] + [Image.new("L", (30, 20), 0)] * 2)
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for image, profile in ((grey, grey_profile()), (inks, ink_profile()), (lab, lab_profile)):
        path = tmp_path / f"{image.mode}.tif"
        image.save(path, icc_profile=profile)
        np.testing.assert_array_equal(_pixels(path, to_srgb=True), _shown(image, profile))
    shown = _pixels(tmp_path / "L.tif", to_srgb=True)
    assert np.abs(shown - _srgb((RGB[..., :1] / 255) ** GAMMA)).max() < 1.5
    lightness = (100 * (1 - ramp / 255) + 16) / 116
    light = np.where(lightness > 6 / 29, lightness**3, 3 * (6 / 29) ** 2 * (lightness - 4 / 29))
    assert np.abs(_pixels(tmp_path / "CMYK.tif", to_srgb=True)[0, :, 1] - _srgb(light)).max() < 3


def test_profiles_with_transparency_palettes_and_orientation(tmp_path: Path) -> None:
    profile = wide_gamut_profile()
    shown = _shown(Image.fromarray(RGB), profile)
    alpha = (np.arange(600).reshape(20, 30, 1) % 256).astype(np.uint8)
    Image.fromarray(np.concatenate([RGB, alpha], 2)).save(tmp_path / "alpha.png", icc_profile=profile)
    over_white = (shown.astype(float) * alpha + 255.0 * (255 - alpha)) / 255
    assert np.abs(_pixels(tmp_path / "alpha.png", to_srgb=True) - over_white).max() <= 0.51
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "palette.png", icc_profile=profile)
    expected = _shown(palette.convert("RGB"), profile)
    np.testing.assert_array_equal(_pixels(tmp_path / "palette.png", to_srgb=True), expected)
    grey_alpha = Image.merge("LA", [Image.fromarray(RGB[..., 0]), Image.fromarray(alpha[..., 0])])
    grey_alpha.save(tmp_path / "grey.png", icc_profile=grey_profile())
    grey = _shown(Image.fromarray(RGB[..., 0]), grey_profile())
    over_white = (grey.astype(float) * alpha + 255.0 * (255 - alpha)) / 255
    assert np.abs(_pixels(tmp_path / "grey.png", to_srgb=True) - over_white).max() <= 0.51
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", icc_profile=profile, exif=exif)
    np.testing.assert_array_equal(_pixels(tmp_path / "turned.png", to_srgb=True), np.rot90(shown, -1))


def test_profiles_that_change_nothing(tmp_path: Path) -> None:
    """sRGB's own, damaged ones, and those of other colours than the image's are passed over, as by viewers."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = wide_gamut_profile()
    zeros = wide[:132] + bytes(len(wide) - 132)
    for profile in (srgb, wide[:200], b"no profile", zeros, ink_profile(), grey_profile()):
        Image.fromarray(RGB).save(tmp_path / "image.png", icc_profile=profile)
        np.testing.assert_array_equal(_pixels(tmp_path / "image.png", to_srgb=True), RGB)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(wide)
        for at in rng.integers(len(wide), size=8):
            damaged[at] = rng.integers(256)
        Image.fromarray(RGB).save(tmp_path / "image.png", icc_profile=bytes(damaged))
        assert _pixels(tmp_path / "image.png", to_srgb=True).shape == RGB.shape


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".avif", ".jp2", ".ppm"])
@pytest.mark.parametrize("num_bytes", [0, 20, 300])
def test_truncated_files(suffix: str, num_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(RGB).save(path)
    assert read_image(path).shape == (1, 3, 20, 30)
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"cannot read the image '{path}': ") and "\n" not in str(caught.value)


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(UnreadableImage, match="Is a directory"):
        read_image(tmp_path)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(UnreadableImage, match="damaged, or in none of the formats PNG"):
        read_image(tmp_path / "text.png")
    Image.fromarray(RGB).save(tmp_path / "postscript.png", format="EPS")
    with pytest.raises(UnreadableImage, match="damaged, or in none of the formats PNG"):
        read_image(tmp_path / "postscript.png")


def test_write_then_read(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 17, 23, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    write_image(image, tmp_path / "image.png")
    with Image.open(tmp_path / "image.png") as written:
        expected = np.rint(np.clip(image[0].numpy(), 0, 1) * 255).transpose(1, 2, 0)
        np.testing.assert_array_equal(np.asarray(written), expected)
    assert torch.equal(read_image(tmp_path / "image.png"), quantise(image))
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


def test_write_refuses_other_formats_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an output path ending in \.png"):
        write_image(torch.zeros(1, 3, 2, 2), tmp_path / "image.jpg")
    with pytest.raises(FileNotFoundError):
        write_image(torch.zeros(1, 3, 2, 2), tmp_path / "nowhere" / "image.png")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "image.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        write_image(torch.zeros(1, 3, 2, 2), path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_the_8_bit_grid() -> None:
    grid = torch.arange(256).float() / 255
    assert torch.equal(to_uint8(grid), torch.arange(256, dtype=torch.uint8))
    assert torch.equal(quantise(grid), grid)
    assert to_uint8(torch.tensor([-1.0, 0.4999 / 255, 0.5001 / 255, 2.0])).tolist() == [0, 0, 1, 255]
    assert torch.equal(quantise(grid.double()), grid)


@pytest.mark.parametrize(("height", "width"), [(64, 128), (1, 1), (65, 63), (20, 200)])
def test_padding_to_a_multiple_and_back(height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width)
    padded = pad_to_multiple(image, 64)
    rows, columns = (-(-side // 64) * 64 for side in (height, width))
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, rows - height), (0, columns - width)), mode="edge")
    np.testing.assert_array_equal(padded.numpy(), expected)
    assert torch.equal(crop_to(padded, height, width), image)


def test_padding_to_a_size_mirrors_where_it_can() -> None:
    image = torch.rand(1, 3, 20, 5)
    padded = pad_at_least(image, 32)
    mirrored = np.pad(image.numpy(), ((0, 0), (0, 0), (0, 12), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(padded.numpy(), np.pad(mirrored, ((0, 0), (0, 0), (0, 0), (0, 27)), mode="edge"))
    assert pad_at_least(image, 5).shape == (1, 3, 20, 5)
    assert pad_at_least(torch.rand(1, 3, 1, 1), 16).shape == (1, 3, 16, 16)


def test_more_pixels_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("L", (200, 10)).save(path)
    assert read_image(path, max_pixels=2000).shape == (1, 3, 10, 200)
    with pytest.raises(UnreadableImage, match="its 200 x 10 px are more than the 1999 allowed"):
        read_image(path, max_pixels=1999)
    before = Image.MAX_IMAGE_PIXELS
    assert before is not None, "other users of Pillow in this process keep its limit"


def test_fast_reading_gives_the_same_pixels(tmp_path: Path) -> None:
    """Of plain JPEG files, and of all that simplejpeg would read otherwise, or not at all."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    noise.save(tmp_path / "plain.jpg", quality=90)
    noise.save(tmp_path / "progressive.jpg", progressive=True, subsampling=0)
    noise.save(tmp_path / "turned.jpg", exif=exif)
    noise.convert("L").save(tmp_path / "grey.jpg")
    noise.convert("CMYK").save(tmp_path / "ink.jpg")
    noise.save(tmp_path / "two.mpo", save_all=True, append_images=[noise])
    (tmp_path / "two.mpo").rename(tmp_path / "two.jpg")
    noise.save(tmp_path / "not.png")
    (tmp_path / "not.png").rename(tmp_path / "not.jpg")
    whole = (tmp_path / "plain.jpg").read_bytes()
    (tmp_path / "more.jpg").write_bytes(whole + b"and more")
    (tmp_path / "junk.jpg").write_bytes(whole[:-2] + b"\0\0\0" + whole[-2:])
    (tmp_path / "cut.jpg").write_bytes(whole[:-300])
    for path in sorted(tmp_path.iterdir()):
        try:
            expected = read_pixels(path)
        except UnreadableImage as error:
            with pytest.raises(UnreadableImage) as fast_error:
                read_pixels(path, is_fast=True)
            assert path.name == "cut.jpg" and str(fast_error.value) == str(error)
            continue
        assert np.array_equal(read_pixels(path, is_fast=True), expected), path.name
        assert np.array_equal(read_pixels("x", content=path.read_bytes(), is_fast=True), expected), path.name
    with pytest.raises(UnreadableImage, match="more than the 1000 allowed"):
        read_pixels(tmp_path / "plain.jpg", max_pixels=1000, is_fast=True)
    with pytest.raises(UnreadableImage, match="No such file"):
        read_pixels(tmp_path / "none.jpg", is_fast=True)
