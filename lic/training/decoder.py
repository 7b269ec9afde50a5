"""`--train decoder`: from which checkpoint it starts, and what the run is called."""

import dataclasses
from pathlib import Path

from lic.codecs import Codec, LoadedCodec, load_codec
from lic.codecs.checkpoint import load_header
from lic.codecs.synthesis import tune_synthesis_alone
from lic.distortions import distortion_card
from lic.settings import require
from lic.settings.train import TrainConfig


def decoder_to_tune(parent: LoadedCodec, config: TrainConfig) -> Codec:
    """Return a checkpoint's codec with all but its decoder frozen.

    Raises:
        ValueError: it cannot be separated, or a run goes on that began with another checkpoint of this name.
    """
    tune_synthesis_alone(parent.codec, parent.header.codec, parent.streams_of)
    if config.resume is not None:
        before, now = str(load_header(Path(config.resume)).streams_of), parent.streams_of
        require(before == now, f"the run of {config.resume} tunes the decoder of checkpoint {before[:8]}; "
                               f"{config.init} is another one now, {now[:8]}: put the former back")
    return parent.codec


def with_label(config: TrainConfig) -> TrainConfig:
    """Return the settings with a label that tells a tuned decoder's curve from that of a whole codec."""
    if config.train == "codec" or config.label is not None:
        return config
    parent = load_codec(str(config.init), [config.codec]).header
    name = distortion_card(config.distortion).name
    return dataclasses.replace(config, label=f"{parent.label or parent.distortion} with {name} decoder")
