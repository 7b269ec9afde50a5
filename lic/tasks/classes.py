"""A network's classes and a dataset's are the same where their names are."""

from collections.abc import Mapping

from lic.backbones.networks import Network

SYNONYMS = {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv"}
"""VOC's words and COCO's; dining table and potted plant differ by a space only."""


def plain(name: str) -> str:
    """Return a name without case, spaces and underscores, in COCO's word for it."""
    letters = "".join(filter(str.isalnum, name.lower()))
    return SYNONYMS.get(letters, letters)


def match_classes(network: Network, classes: Mapping[int, str]) -> dict[int, int] | None:
    """Return the dataset's id of each of the network's output indices that has one.

    None is returned for a network that knows no names: it answers with the dataset's ids.

    Args:
        network: whose outputs they are.
        classes: the dataset's names by id.
    """
    if network.classes is None:
        return None
    ids = {plain(name): i for i, name in classes.items()}
    return {i: ids[plain(name)] for i, name in enumerate(network.classes) if plain(name) in ids}


def match_all(network: Network, classes: Mapping[int, str], dataset: str) -> dict[int, int] | None:
    """Return the same of a network that knows every class of the dataset.

    Raises:
        ValueError: it does not; one line that names those it lacks.
    """
    matched = match_classes(network, classes)
    lacking = [name for i, name in classes.items() if matched is not None and i not in matched.values()]
    if lacking:
        shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        raise ValueError(f"network {network.name} lacks classes of {dataset}: {shown}; choose another with --network")
    return matched
