"""Voters: networks that prefer the image on which their prediction stays nearer to that on the reference.

    voters = build_voters(None, None, torch.device("cpu"))         # the demo world's
    likeness = ask(voters, reference, distorted)                   # {voter: one consistency for each image}
    vote(likeness["vit"][0], likeness["vit"][1])                   # 1 prefers the first, 0 the second, 0.5 neither

The demo world's CLIP never votes: it is what ML-CLIPSim sees through.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lic.backbones.description import Kind
from lic.backbones.networks import Network, build_network, demo_network
from lic.backbones.published import TorchNetwork
from lic.cli import unknown
from lic.demo.other_networks import VoterName, load_voter
from lic.preferences.pcmp.agreement import Task, consistency
from lic.settings import require

Group = Literal["fit", "test"]

TIE = 1e-6
"""Consistencies that differ by less are equal: half a vote for each image. Less is rounding. Larger bounds turn
preferences into ties: at 0.001 half of those of a sure classifier, on 192 demo pairs, and voters then agree less."""

MOST_PIXELS = 2**20  # in one batch
TEST_SHARE = 1 / 3  # of the voters, held out

PHOTOGRAPH_VOTERS = (
    "resnet50", "convnext_tiny", "vit_b_16", "fasterrcnn_resnet50_fpn_v2", "ssdlite320_mobilenet_v3_large",
    "deeplabv3_resnet50", "lraspp_mobilenet_v3_large",
)  # fmt: skip
"""Of torchvision: four families, three tasks. Those of ResNets come to be fitted to, the others are held out."""

_TASKS: dict[Kind, Task] = {
    "classification": "classification", "detection": "detection", "instances": "detection", "semantic": "segmentation"
}  # fmt: skip
_ANSWERS: dict[Task, Kind] = {  # an embedding is (D,) as logits are
    "classification": "classification", "detection": "detection", "segmentation": "semantic",
    "embedding": "classification",
}  # fmt: skip
_DEMO: dict[VoterName, tuple[str, Task, Group]] = {
    "mobilenet": ("mobilenet", "classification", "fit"),
    "regnet": ("regnet", "embedding", "fit"),
    "vit": ("vit", "classification", "test"),
    "ssd": ("vgg", "detection", "test"),
    "unet": ("unet", "segmentation", "test"),
    "convnext": ("convnext", "embedding", "test"),
}
_FAMILIES = {
    "mobilenet": r"mobilenet|mnv\d", "efficientnet": "efficientnet", "convnext": "convnext", "vit": r"vit|deit",
    "swin": "swin", "densenet": "densenet", "vgg": "vgg", "regnet": "regnet", "yolox": "yolox", "resnet": "resne[xt]",
}  # fmt: skip  # by what occurs in a network's name, the first that does


class Card(NamedTuple):
    """What PCMP keeps of a voter.

    Attributes:
        family: of its architecture; of a detector or segmenter, its backbone's.
        group: "fit" may be learned from, "test" is held out.
        fingerprint: SHA-256 over weights and preprocessing.
    """

    name: str
    family: str
    task: Task
    group: Group
    fingerprint: str


class Voter(NamedTuple):
    """A network that votes; `predict` takes (N, 3, H, W), RGB in [0, 1], and answers as `consistency` reads it."""

    card: Card
    predict: Callable[[Tensor], list[Any]]


def ask(voters: Sequence[Voter], reference: Tensor, distorted: Tensor) -> dict[str, list[float]]:
    """Return each voter's consistency on distorted images with the reference.

    Args:
        reference: (1, 3, H, W), RGB in [0, 1].
        distorted: (N, 3, H, W).
    """
    images = torch.cat([reference, distorted])
    batches = images.split(max(1, MOST_PIXELS // reference[0, 0].numel()))
    likeness = {}
    for voter in voters:
        theirs, *answers = [answer for batch in batches for answer in voter.predict(batch)]
        likeness[voter.card.name] = [consistency(voter.card.task, ours, theirs) for ours in answers]
    return likeness


def vote(first: float, second: float) -> float:
    """Return which of two images a voter of these consistencies prefers: 1 the first, 0 the second, 0.5 neither."""
    return 0.5 if abs(first - second) < TIE else float(first > second)


def build_voters(names: Sequence[str] | None, held_out: Sequence[str] | None, device: torch.device) -> list[Voter]:
    """Return the voters.

    Args:
        names: as `lic.backbones.networks.build_network` takes them; None for the demo world's nine.
        held_out: those of them that are in the group "test", by name; None for about a third, of families of their own.
        device: where they run.

    Raises:
        ValueError: in one line: unknown network, no weights, two of one name, or none left to fit to.
    """
    networks = [build_network(name, None, device) for name in names] if names else []
    voters = [_as_voter(network) for network in networks] or _demo_voters(device)
    cards = [voter.card for voter in voters]
    found = [card.name for card in cards]
    require(len(set(found)) == len(found), f"two voters are named alike: {', '.join(found)}")
    aliases = dict(zip(names or found, found, strict=True))
    for name in held_out or ():
        require(name in (*aliases, *found), unknown("voter", name, found))
    if held_out is not None:
        test = {aliases.get(name, name) for name in held_out}
    elif names:
        test = _hold_out(cards)
    else:
        return voters
    require(len(test) < len(cards), "all voters are held out for testing; leave one to fit to")
    return [voter._replace(card=voter.card._replace(group=_group(voter.card.name, test))) for voter in voters]


def _group(name: str, test: set[str]) -> Group:
    return "test" if name in test else "fit"


def _hold_out(cards: Sequence[Card]) -> set[str]:
    """The names of whole families, the smallest first, until a third of the voters is held out; none of one family."""
    families: dict[str, list[str]] = {}
    for card in cards:
        families.setdefault(card.family, []).append(card.name)
    test: set[str] = set()
    for members in sorted(families.values(), key=lambda members: (len(members), members))[: len(families) - 1]:
        if len(test) < len(cards) * TEST_SHARE:
            test |= set(members)
    return test


def family_of(name: str) -> str:
    """Return the family that a network's name tells, its backbone's if it has one; else its first word."""
    for family, pattern in _FAMILIES.items():
        if re.search(pattern, name.lower()):
            return family
    return re.split(r"[^a-z]", name.lower(), maxsplit=1)[0] or name


def _as_voter(network: Network) -> Voter:
    card = Card(network.name, family_of(network.name), _TASKS[network.kind], "fit", network.fingerprint)
    return Voter(card, network)


def _demo_voters(device: torch.device) -> list[Voter]:
    """The demo world's three task networks, all of ResNet's blocks, and six of other families."""
    kinds: tuple[Kind, ...] = ("classification", "detection", "semantic")
    voters = [_as_voter(demo_network(kind, device)) for kind in kinds]
    voters = [voter._replace(card=voter.card._replace(family="resnet")) for voter in voters]
    for name in get_args(VoterName):
        family, task, group = _DEMO[name]
        network = TorchNetwork(f"demo-{name}", _ANSWERS[task], load_voter(name), None, None, "", device)
        voters.append(Voter(Card(network.name, family, task, group, network.fingerprint), network))
    return voters
