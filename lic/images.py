"""Images as tensors: read, write and pad them.

Everywhere in `lic` an image is a float tensor (N, 3, H, W), RGB in [0, 1]. Files are read to 8 bits per channel, the
precision that codecs code and that tasks see.
"""

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError
from simplejpeg import decode_jpeg
from torch import Tensor

from lic.atomic import write_file

# Only these: Pillow would also hand PostScript to an external interpreter.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "PPM", "GIF")

_SAMPLES = {1: "unsigned numbers", 2: "signed numbers", 3: "floating point numbers"}  # TIFF's SampleFormat

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB; may be read-only."""


class UnreadableImage(ValueError):
    """An image file that cannot be decoded; the message is one line with path and cause."""


MAX_PIXELS = 89_478_485
"""Of an image that is read, unless more are allowed: Pillow's own limit, above which it suspects an attack."""


def read_image(path: Path | str, to_srgb: bool = False, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Return the image in a file, (1, 3, H, W), RGB in [0, 1], multiples of 1/255; see `read_pixels`."""
    return from_pixels(read_pixels(path, to_srgb, max_pixels))


def read_pixels(
    path: Path | str, to_srgb: bool = False, max_pixels: int = MAX_PIXELS, content: bytes | None = None,
    is_fast: bool = False,
) -> Pixels:  # fmt: skip
    """Return the image in a file, upright, as 8-bit RGB.

    The EXIF orientation is applied. Of an animation the first frame is taken. Transparent pixels are laid over white,
    the page that most pictures with transparency are drawn for; their stored colour is arbitrary, so merely dropping
    alpha would invent detail.

    Args:
        path: a file in one of `FORMATS`.
        to_srgb: apply an embedded colour profile, as viewers do; datasets are read without, as networks learned them.
        max_pixels: larger images are refused before anything is decoded.
        content: of the file, if it is in memory; `path` is then what messages call it.
        is_fast: let simplejpeg decode what is a plain JPEG: the same pixels where both use one libjpeg-turbo, 1.3 times
            as fast at 0.1 megapixels and four times at 12. For training; what is judged is read by Pillow alone.

    Raises:
        UnreadableImage: the file is missing, truncated, not an image, or too large to be decoded safely.
    """
    with _open(path, max_pixels, content) as image:
        if is_fast and isinstance(image, JpegImagePlugin.JpegImageFile) and _is_plain(image):
            assert image.fp is not None, "not loaded yet"
            image.fp.seek(0)
            with suppress(ValueError):  # stricter than Pillow: then it is Pillow's to read or to refuse
                pixels: Pixels = decode_jpeg(image.fp.read())
                return pixels
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            image.filename = ""  # Pillow 13 maps an uncompressed grey one into memory by its turned size
        image.load()  # turns a TIFF upright by itself, and says so only then
        reduced = _at_8_bits(image)
        ImageOps.exif_transpose(reduced, in_place=True)  # which copies only what it turns
        return np.asarray(_to_rgb(_shown_in_srgb(reduced) if to_srgb else reduced))


def image_size(path: Path | str) -> tuple[int, int]:
    """Return the height and width in px that `read_image` would give, mostly without decoding pixels.

    Raises:
        UnreadableImage: the file is missing, or its header is no image's.
    """
    with _open(path) as image:
        is_turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return image.size if is_turned and image.format != "TIFF" else image.size[::-1]  # Pillow turns a TIFF's itself


def _is_plain(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether a JPEG is one picture, in colour, upright."""
    is_one = image.format == "JPEG" and image.mode == "RGB"
    return is_one and image.getexif().get(ExifTags.Base.Orientation, 1) == 1


@contextmanager
def _open(path: Path | str, max_pixels: int = MAX_PIXELS, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image file; whatever fails inside the block is an UnreadableImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged EXIF block does not matter
            file = path if content is None else io.BytesIO(content)
            with _Unlimited(), Image.open(file, formats=FORMATS) as image:
                if math.prod(image.size) > max_pixels:
                    raise ValueError(f"its {image.width} x {image.height} px are more than the {max_pixels} allowed; "
                                     "for more: --max_pixels, where a command has it")
                yield image
    except Exception as error:  # Pillow's readers raise whatever a format's parser trips over
        raise UnreadableImage(f"cannot read the image '{path}': {_cause(error)}") from error


class _Unlimited:
    """Leaves Pillow's own limit of pixels, which no argument raises, to the caller."""

    def __enter__(self) -> None:
        self.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None

    def __exit__(self, *_: object) -> None:
        Image.MAX_IMAGE_PIXELS = self.before


def _cause(error: Exception) -> str:
    """Return why Pillow failed, in one line without the path."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is damaged, or in none of the formats {', '.join(FORMATS)}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as 8-bit RGB; see `read_image`."""
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _shown_in_srgb(image: Image.Image) -> Image.Image:
    """Return an image with its colour profile applied; as it is if it has none, sRGB's, or one that does not fit."""
    if not image.info.get("icc_profile"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if ImageCms.getProfileDescription(profile).startswith("sRGB"):
            return image
        shown = _to_profile_mode(image)
        alpha = shown.getchannel("A") if shown.mode.endswith("A") else None
        colours = shown.convert(shown.mode.removesuffix("A")) if alpha else shown
        result = ImageCms.profileToProfile(colours, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # what viewers pass over, too
        return image
    assert result is not None, "only a conversion in place returns nothing"
    if alpha:
        result.putalpha(alpha)
    return result


def _to_profile_mode(image: Image.Image) -> Image.Image:
    """Return an image in a mode that profiles are made for: L, RGB, CMYK, LAB, or one of them with alpha."""
    if image.mode in ("1", "P", "PA", "YCbCr", "LA") or image.has_transparency_data:
        colours = "L" if image.mode in ("1", "L", "LA") else "RGB"
        return image.convert(f"{colours}A" if image.has_transparency_data else colours)
    return image


def _at_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 12 or 16 bits at 8, rounded (Pillow's own conversion clips at 255); others as they are.

    Pillow scales what other formats hold to 16 bits, but of a TIFF it gives the numbers that stand there.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    bits, kind, is_white_zero = 16, 1, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        bits, kind = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0], tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0]
        is_white_zero = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    values = np.asarray(image).astype(np.int64)
    if bits not in (12, 16) or kind != 1 or image.mode.startswith("F") or values.min() < 0 or values.max() >> bits:
        raise ValueError(f"its samples are {bits}-bit {_SAMPLES.get(kind, 'numbers')} of Pillow's mode "
                         f"'{image.mode}'; expected unsigned ones of 8, 12 or 16 bits: convert it first")
    white = 2**bits - 1
    grey = (2 * 255 * (white - values if is_white_zero else values) + white) // (2 * white)
    reduced = Image.fromarray(grey.astype(np.uint8))
    reduced.info = image.info  # profile and EXIF
    return reduced


def write_image(image: Tensor, path: Path | str) -> None:
    """Write an image as 8-bit PNG, atomically.

    Args:
        image: (1, 3, H, W), RGB; values outside [0, 1] are clamped.
        path: ends in `.png`; its folder exists.

    Raises:
        ValueError: the path does not end in `.png`.
        OSError: the folder is missing or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"expected an output path ending in .png, came '{path}'; images are written as PNG")
    write_file(to_png(image), path)


def to_png(image: Tensor) -> bytes:
    """Return the 8-bit PNG file of an image, (1, 3, H, W), RGB; values outside [0, 1] are clamped."""
    assert image.ndim == 4 and image.shape[:2] == (1, 3), f"expected (1, 3, H, W), came {tuple(image.shape)}"
    file = io.BytesIO()
    Image.fromarray(to_uint8(image[0]).permute(1, 2, 0).cpu().numpy()).save(file, format="PNG")
    return file.getvalue()


def to_uint8(image: Tensor) -> Tensor:
    """Return an image of the same shape in 0 … 255, rounded to nearest; values outside [0, 1] are clamped."""
    return image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)


def quantise(image: Tensor) -> Tensor:
    """Return an image on the 8-bit grid, in float32: what `read_image` would give after `write_image`."""
    return to_uint8(image).float() / 255


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Return an image whose sides are multiples of a number, its last row and column repeated at bottom and right.

    `crop_to(padded, *image.shape[-2:])` takes the padding off again. (CompressAI's `compute_padding` centres the image;
    at the bottom and right the size alone undoes it.)

    Args:
        image: (N, 3, H, W).
        multiple: in pixels.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, bottom), mode="replicate") if bottom or right else image


def crop_to(image: Tensor, height: int, width: int) -> Tensor:
    """Return the top left `height` x `width` pixels of an image (N, 3, H, W)."""
    assert image.shape[-2] >= height and image.shape[-1] >= width, "an image cannot be cropped to more than it has"
    return image[..., :height, :width]


def pad_at_least(image: Tensor, size_px: int) -> Tensor:
    """Return an image with both sides at least `size_px`, so that a crop of this size fits.

    It is mirrored at bottom and right; a side shorter than its padding repeats its last pixel instead.

    Args:
        image: (N, 3, H, W).
        size_px: smallest height and width of the result.
    """
    height, width = image.shape[-2:]
    bottom, right = max(0, size_px - height), max(0, size_px - width)
    if bottom:
        image = F.pad(image, (0, 0, 0, bottom), mode="reflect" if bottom < height else "replicate")
    if right:
        image = F.pad(image, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    return image


def to_pixels(image: Tensor) -> Pixels:
    """Return an image (1, 3, H, W), RGB in [0, 1], as (H, W, 3) of 8 bits."""
    return to_uint8(image)[0].permute(1, 2, 0).contiguous().numpy()


def from_pixels(pixels: Pixels) -> Tensor:
    """Return 8-bit pixels, (H, W, 3), as an image (1, 3, H, W), RGB in [0, 1]."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def sha256_of(pixels: Pixels) -> str:
    """Return the first 16 digits of the SHA-256 of an image's pixels."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]
