"""Which of some results the others are compared with."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from lic.curves.files import load_results
from lic.curves.results import Results, check_protocols
from lic.curves.seeds import group_seeds


def choose_reference(results: Sequence[Results], paths: Sequence[Path], name: str | None) -> Results:
    """Return the results with this name or from this file; without a name, the customary reference.

    Of several seeds it is the first, which stands for all of them.
    """
    if name is None:
        trained_for_mse = [each for each in results if each.distortion == "mse"]
        trained_for_mse.sort(key=lambda each: each.label is not None)  # without a label: as anybody would train it
        jpeg = [each for each in results if each.codec == "jpeg"]
        return (trained_for_mse or jpeg or list(results))[0]
    for called in ("name", "codec", "recipe"):
        curves = group_seeds([each for each in results if name == getattr(each.curve, called)])
        if len(curves) > 1:
            raise ValueError(f"--reference '{name}' fits {len(curves)} of the results; give its file instead")
        if curves:
            return curves[0][0]
    if Path(name).is_file():
        same = [each for each, path in zip(results, paths, strict=True) if path.resolve() == Path(name).resolve()]
        return same[0] if same else load_results(name)
    names = list(dict.fromkeys(each.name for each in results))
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    raise ValueError(f"--reference '{name}' is neither a file nor a codec here{hint} Choose from: {', '.join(names)}")


def by_dataset(files: Sequence[tuple[Results, Path]], name: str | None) -> list[tuple[Results, list[Results]]]:
    """Return for each dataset the reference and all results, the reference among them.

    Neither rates nor scores of different datasets can be compared, nor those of different protocols on one.

    Args:
        files: results and the files that they come from.
        name: of the reference; see `choose_reference`.

    Raises:
        ValueError: the reference is on another dataset, or follows another protocol than any of the others.
    """
    groups = []
    for dataset in dict.fromkeys(results.dataset for results, _ in files):
        own, paths = zip(*((results, path) for results, path in files if results.dataset == dataset), strict=True)
        reference = choose_reference(own, paths, name)
        if reference.dataset != dataset:
            raise ValueError(f"--reference '{name}' is on '{reference.dataset}', the others on '{dataset}'")
        group = list(own) if any(each is reference for each in own) else [reference, *own]
        check_protocols(group)
        groups.append((reference, group))
    return groups
