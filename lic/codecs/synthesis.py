"""The synthesis transform alone, `g_s`: what `--train decoder` tunes, so that one stream has two readers.

    image -- compress -- symbols -- decompress -- latent -- g_s -- reconstruction
             `------------ fixed, no gradient ---------'   tuned

No symbol depends on `g_s`. Entropy models, context models, hyper decoder, gains and CDF tables stay as the checkpoint
has them, to the bit: whatever it coded, and will code, the tuned decoder reads.
"""

import torch
from torch import Tensor, nn

from lic.codecs.codec import Codec, CodecOutput, CodedImage
from lic.images import crop_to
from lic.settings import require


class _Reached(Exception):
    """The decoding has come to `g_s`, with these inputs."""

    def __init__(self, inputs: tuple[object, ...]) -> None:
        super().__init__()
        self.inputs = inputs


def tune_synthesis_alone(codec: Codec, name: str, streams_of: str) -> None:
    """Freeze a codec but for its `g_s`, and keep its CDF tables.

    Args:
        codec: as its checkpoint has it.
        name: what its card calls it.
        streams_of: SHA-256 of the checkpoint whose streams it codes.

    Raises:
        ValueError: the codec has no such part.
    """
    codec.eval().build_tables()
    codec.streams_of = streams_of
    require(_is_separable(codec), f"--train decoder cannot tune {name}: it wants a module `g_s` that turns one tensor, "
                                  "the decoded latent, into the picture, and that no symbol depends on")
    for key, parameter in codec.named_parameters():
        parameter.requires_grad_(key.startswith("network.g_s."))


@torch.no_grad()
def _is_separable(codec: Codec) -> bool:
    """Return whether `g_s` makes the picture of the latent, and symbols and latent are the same with another one."""
    synthesis = getattr(codec.network, "g_s", None)
    if not isinstance(synthesis, nn.Module) or not any(True for _ in synthesis.parameters()):
        return False
    side, point = 2 * codec.stride, max(codec.grid, default=None)
    image = torch.linspace(0, 1, 3 * side**2, device=codec.device).view(1, 3, side, side)
    coded = codec.compress(image, point)
    latent = _latent(codec, coded, image, point)
    if latent is None:
        return False
    picture = crop_to(synthesis(latent.clone()), side, side).clamp(0, 1)
    is_picture = torch.allclose(picture, codec.decompress(coded, side, side, point), rtol=0, atol=1e-4)
    kept = [parameter.clone() for parameter in synthesis.parameters()]
    for parameter in synthesis.parameters():
        parameter.zero_()
    again = codec.compress(image, point)
    latent_again = _latent(codec, coded, image, point)
    for parameter, before in zip(synthesis.parameters(), kept, strict=True):
        parameter.copy_(before)
    is_alike = latent_again is not None and torch.equal(latent_again, latent)
    return is_picture and is_alike and (again.string, again.check) == (coded.string, coded.check)


def _latent(codec: Codec, coded: CodedImage, image: Tensor, lmbda: float | None) -> Tensor | None:
    """Return what `g_s` is given when an image's symbols are decoded; None: more or other than a tensor."""

    def stop(_: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
        raise _Reached((*inputs, *named.values()))

    hook = codec.network.g_s.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        codec.decompress(coded, image.shape[-2], image.shape[-1], lmbda)
    except _Reached as reached:
        (first, *others) = reached.inputs or (None,)
        return first if isinstance(first, Tensor) and not others else None
    finally:
        hook.remove()
    return None


def reconstruct_from_symbols(codec: Codec, image: Tensor, lmbda: float | None) -> CodecOutput:
    """Return what `Codec.forward` does, from the latents that a decoder has: only `g_s` gets a gradient.

    Images are coded one by one: CompressAI's autoregressive codecs round otherwise in their forward pass.

    Args:
        codec: one that `tune_synthesis_alone` has seen.
        image: (N, 3, H, W), RGB in [0, 1].
        lmbda: operating point of a variable-rate codec.
    """
    height, width = image.shape[-2:]
    coded = [codec.compress(each, lmbda) for each in image.split(1)]
    latents = [_latent(codec, one, each, lmbda) for one, each in zip(coded, image.split(1), strict=True)]
    reconstruction = codec.network.g_s(torch.cat([latent for latent in latents if latent is not None]))
    bits = torch.tensor([one.num_bits_estimated for one in coded], device=image.device)
    return CodecOutput(crop_to(reconstruction, height, width), bits / (height * width))
