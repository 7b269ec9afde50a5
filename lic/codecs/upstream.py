"""CompressAI's newer classes by name, where the installed CompressAI has them: one door, no code of ours per codec.

Its development has them; up to 1.2.8 no release does. A class is built from the defaults of its constructor, codes with
its own `compress` and `decompress` and takes weights by its own `from_state_dict`.
"""

import importlib
import inspect
import json
from typing import Any

import compressai
from compressai.registry import MODELS
from torch import Tensor, nn

from lic.codecs.card import CodecCard
from lic.settings import require

UPSTREAM = {
    "stf": "stf", "stf-wacnn": "stf",  # Zou et al. 2022, arXiv 2203.08450
    "tcm": "tcm",  # Liu et al. 2023, arXiv 2303.14978
    "cca": "cca",  # Han et al. 2024, arXiv 2410.04847
    "dcae": "dcae",  # Lu et al. 2025, arXiv 2504.00496
    "saaf": "saaf",  # Ma et al., CVPR 2026
    "mlic": "mlic", "mlicplus": "mlic", "mlicv2": "mlic",  # Jiang et al., arXiv 2211.07273, 2504.19119
}  # fmt: skip
"""Names in CompressAI's registry -> the file of `compressai.models` that registers them: those that need timm, `import
compressai` leaves out. MLIC++ is not among them, as ours takes its official weights."""

_WIDTHS = {"N": "num_channels", "M": "num_latent_channels"}


def upstream_class(name: str) -> type[nn.Module]:
    """Return the class that CompressAI registers under one of UPSTREAM's names.

    Raises:
        ValueError: in one line: the installed CompressAI has none, or it needs a package that is not installed.
    """
    if name not in MODELS:
        try:
            importlib.import_module(f"compressai.models.{UPSTREAM[name]}")
        except ImportError as error:
            is_absent = isinstance(error, ModuleNotFoundError) and str(error.name).startswith("compressai")
            require(is_absent, f"codec {name} of CompressAI {compressai.__version__} cannot be imported: {error}")
    require(name in MODELS,
            f"codec {name} is CompressAI's, in versions after 1.2.8; {compressai.__version__} is installed: "
            "pip install 'git+https://github.com/InterDigitalInc/CompressAI' timm")
    network: type[nn.Module] = MODELS[name]
    return network


def upstream_card(name: str) -> CodecCard:
    """Return the card of one of UPSTREAM's names; its options are the arguments that a JSON header can hold.

    Raises:
        ValueError: see `upstream_class`.
    """
    network_class = upstream_class(name)
    parameters = inspect.signature(network_class).parameters

    def build(**options: Any) -> nn.Module:
        own = {key: options[_WIDTHS.get(key, key)] for key in parameters if _WIDTHS.get(key, key) in options}
        try:
            return network_class(**own)
        except (AssertionError, ArithmeticError, LookupError, RuntimeError, TypeError) as error:  # ValueErrors say why
            raise ValueError(f"CompressAI's {name} takes no {json.dumps(options)}: {error!r}") from error

    defaults = {key: parameter.default for key, parameter in parameters.items()}
    return CodecCard(name, build, _as_options(defaults))


def upstream_from_weights(name: str, state: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network that a class's own `from_state_dict` makes of weights, and the options that build its like."""
    network_class, given = upstream_class(name), dict[str, Any]()
    signature = inspect.signature(network_class)

    class Recorded(network_class):  # type: ignore[misc, valid-type]  # known at run time only
        """The class, which notes what it is built with."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            given.update(signature.bind(*arguments, **settings).arguments)
            super().__init__(*arguments, **settings)

    network: nn.Module = Recorded.from_state_dict(state)
    return network, {**upstream_card(name).options, **_as_options(given)}


def _as_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a constructor's arguments as JSON has them, N and M under the house's names; others are left out."""
    options = {}
    for key, value in arguments.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if all(part is None or isinstance(part, bool | int | float | str) for part in parts):
            options[_WIDTHS.get(key, key)] = list(value) if isinstance(value, tuple) else value
    return options
