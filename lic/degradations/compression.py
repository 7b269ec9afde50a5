"""Codecs and what imitates them, resampling and quantisation: detail given up to save bits or pixels."""

import io
from functools import cache, partial
from typing import Any

import numpy as np
from PIL import Image
from scipy import fft

from lic.degradations.pixels import Distortion, between, to_float, to_pixels
from lic.images import Pixels

LEARNED_LMBDAS = (0.09, 0.0006)  # the grid's ends
SMALLEST_SIDE_PX = 4


def jpeg(image: Pixels, strength: float, seed: int) -> Pixels:
    """JPEG of quality 96 to 1, 4:2:0."""
    return _through_file(image, "JPEG", quality=round(96 - 95 * strength))


def webp(image: Pixels, strength: float, seed: int) -> Pixels:
    """WebP of quality 100 to 0."""
    return _through_file(image, "WEBP", quality=round(100 - 100 * strength), method=4)


def avif(image: Pixels, strength: float, seed: int) -> Pixels:
    """AVIF of quality 95 to 0; one thread, because libavif cuts the picture into as many tiles as there are."""
    return _through_file(image, "AVIF", quality=round(95 - 95 * strength), speed=8, max_threads=1)


def jpeg2000(image: Pixels, strength: float, seed: int) -> Pixels:
    """JPEG 2000 with the 9/7 wavelet, to 1/2 to 1/300 of the size."""
    settings = {"irreversible": True, "mct": 1, "no_jp2": True, "quality_mode": "rates"}
    return _through_file(image, "JPEG2000", quality_layers=[between(2, 300, strength)], **settings)


def dct_quantisation(image: Pixels, strength: float, seed: int) -> Pixels:
    """The cosine transform of blocks of 8 x 8, each channel, all coefficients rounded to multiples of 3 to 400."""
    height, width = image.shape[:2]
    page = np.pad(to_float(image) - 128, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
    blocks = page.reshape(page.shape[0] // 8, 8, page.shape[1] // 8, 8, 3)
    step = between(3, 400, strength)
    waves = np.rint(fft.dctn(blocks, axes=(1, 3), norm="ortho") / step) * step
    restored = fft.idctn(waves, axes=(1, 3), norm="ortho").reshape(page.shape)
    return to_pixels(restored[:height, :width] + 128)


def learned(image: Pixels, strength: float, seed: int, distortion: str, is_of_photographs: bool = False) -> Pixels:
    """A shipped learned codec, trained for a distortion: mbt2018-mean-vbr of lmbda 0.09 to 0.0006."""
    import torch  # only here: processes that do not draw this kind start faster

    lmbda = between(*LEARNED_LMBDAS, strength)
    codec = _shipped_codec(f"mbt2018-mean-vbr-{distortion}", is_of_photographs)
    page = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are rounded as threads share them out
    try:
        with torch.no_grad():
            output = codec(page, lmbda).reconstruction[0].permute(1, 2, 0)
    finally:
        torch.set_num_threads(num_threads)
    return to_pixels(output.numpy() * 255)


@cache
def _shipped_codec(name: str, is_of_photographs: bool) -> Any:
    from lic.codecs import PHOTOS, SHIPPED, load_codec

    return load_codec((PHOTOS if is_of_photographs else SHIPPED) / f"{name}.safetensors").codec


def scaling(image: Pixels, strength: float, seed: int, down: Image.Resampling, up: Image.Resampling) -> Pixels:
    """The image at 1/1.02 to 1/24 of its sides, and enlarged again."""
    height, width = image.shape[:2]
    factor = between(1.02, 24, strength)
    size = [max(round(side / factor), SMALLEST_SIDE_PX) for side in (width, height)]
    small = Image.fromarray(image).resize((size[0], size[1]), down)
    return np.asarray(small.resize((width, height), up))


def posterisation(image: Pixels, strength: float, seed: int) -> Pixels:
    """Each value at the middle of its step of 3 to 160."""
    step = between(3, 160, strength)
    return to_pixels((np.floor(to_float(image) / step) + 0.5) * step)


def colour_quantisation(image: Pixels, strength: float, seed: int, dither: Image.Dither) -> Pixels:
    """A palette of 256 to 2 colours, by median cut."""
    picture = Image.fromarray(image)
    palette = picture.quantize(round(between(256, 2, strength)), Image.Quantize.MEDIANCUT)
    return np.asarray(picture.quantize(palette=palette, dither=dither).convert("RGB"))


def _through_file(image: Pixels, name: str, **settings: Any) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, name, **settings)
    return np.asarray(Image.open(file).convert("RGB"))


_NEAREST, _BICUBIC, _BOX = Image.Resampling.NEAREST, Image.Resampling.BICUBIC, Image.Resampling.BOX

COMPRESSION: dict[str, Distortion] = {
    "jpeg": jpeg,
    "webp": webp,
    "avif": avif,
    "jpeg2000": jpeg2000,
    "dct-quantisation": dct_quantisation,
    "learned-mse": partial(learned, distortion="mse"),
    "learned-mlclipsim": partial(learned, distortion="mlclipsim"),
    "learned-photos-mse": partial(learned, distortion="mse", is_of_photographs=True),
    "learned-photos-mlclipsim": partial(learned, distortion="mlclipsim", is_of_photographs=True),
}
SCALING: dict[str, Distortion] = {
    "nearest-scaling": partial(scaling, down=_NEAREST, up=_NEAREST),
    "bicubic-scaling": partial(scaling, down=_BICUBIC, up=_BICUBIC),
    "mosaic": partial(scaling, down=_BOX, up=_NEAREST),
}
QUANTISATION: dict[str, Distortion] = {
    "posterisation": posterisation,
    "colour-quantisation": partial(colour_quantisation, dither=Image.Dither.NONE),
    "colour-quantisation-dithered": partial(colour_quantisation, dither=Image.Dither.FLOYDSTEINBERG),
}
