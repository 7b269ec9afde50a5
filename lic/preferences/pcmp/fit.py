"""Fit ML-CLIPSim's layer weights to the votes of PCMP, and say what each part is worth.

    python -m lic preferences fit --pcmp pcmp -o fitted.json
    python -m lic preferences fit --metric.mlclipsim.backbone open_clip:ViT-B-16-quickgelu/openai
    python train.py --lmbda 0.01 --mlclipsim.fitted fitted.json

Only the references and voters of the part "fit" are looked at. They are cross-validated both ways at once: weights
fitted to some references and all voters but one are judged on the other references by that voter. Distances of all
layers are computed once and kept in the folder of PCMP.

ML-CLIPSim's weights from votes: a logistic regression without intercept whose coefficients are not negative.

    P(first preferred) = sigmoid((S_first - S_second) / tau) = sigmoid(sum_l v_l (d_second,l - d_first,l)),  v = w / tau

With S = 1 - sum_l w_l d_l, w >= 0 and sum w = 1, weights and temperature are v, once each: the cross entropy with the
share of votes is convex in v >= 0, so that its minimum does not hang on a start or a seed. Similarity and soft labels
are those of arXiv 2605.09479; how the paper fits its weights was not available to us.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from lic.atomic import write_file
from lic.cli import parse_config
from lic.device import pick_device
from lic.distortions import MLCLIPSim, build_mlclipsim, with_backbones
from lic.preferences.pcmp.files import PCMP, as_preference_set, load_pcmp
from lic.preferences.sets.opinions import Compared
from lic.printing import Console
from lic.settings.preferences import FitConfig

Array = NDArray[np.float64]


class Weights(NamedTuple):
    """Weights, none negative, of sum 1, one per part; and the temperature."""

    weights: Array
    temperature: float


def fit_weights(differences: Array, labels: Array, parts: Sequence[int] | None = None) -> Weights:
    """Return the weights and temperature of the least cross entropy.

    Where the votes go against every part, nothing beats a coin: equal weights, of infinite temperature.

    Args:
        differences: (P, L), distance of the second image minus that of the first, by part.
        labels: (P,), share of votes for the first, in [0, 1].
        parts: those that may have weight; default all.
    """
    chosen = list(range(differences.shape[1])) if parts is None else list(parts)
    scale = np.sqrt(np.square(differences[:, chosen]).mean(0)) + 1e-12  # so that one step size suits all
    scaled = differences[:, chosen] / scale
    start = np.full(len(chosen), 1 / len(chosen))
    bounds = [(0, None)] * len(chosen)
    found = minimize(_loss_and_gradient, start, (scaled, labels), "L-BFGS-B", jac=True, bounds=bounds)
    coefficients = np.zeros(differences.shape[1])
    coefficients[chosen] = found.x / scale
    total = float(coefficients.sum())
    if total == 0:
        coefficients[chosen] = 1 / len(chosen)
        return Weights(coefficients, math.inf)
    return Weights(coefficients / total, 1 / total)


def fit_temperature(differences: Array, labels: Array, weights: Array) -> Weights:
    """Return given weights with the temperature of the least cross entropy."""
    fitted = fit_weights((differences @ weights)[:, None], labels)
    return Weights(weights, fitted.temperature)


def cross_entropy(differences: Array, labels: Array, fitted: Weights) -> float:
    """Return the mean cross entropy, in nats, of the labels under the fitted preferences."""
    return _loss_and_gradient(fitted.weights / fitted.temperature, differences, labels)[0]


def accuracy(differences: Array, labels: Array, weights: Array) -> float:
    """Return the share of votes that the metric agrees with, in [0, 1] (2AFC; equal scores count half)."""
    difference = differences @ weights
    choice = np.where(difference > 0, 1.0, np.where(difference < 0, 0.0, 0.5))
    return float((choice * labels + (1 - choice) * (1 - labels)).mean())


def _loss_and_gradient(coefficients: Array, differences: Array, labels: Array) -> tuple[float, Array]:
    logits = differences @ coefficients
    loss = np.logaddexp(0, logits) - labels * logits
    return float(loss.mean()), differences.T @ (expit(logits) - labels) / len(labels)


class Votes(NamedTuple):
    """What there is to fit.

    Attributes:
        differences: (P, L), distance of the second image minus that of the first, by part: layers, then embedding.
        labels: (P, V), each voter's vote: 1 the first, 0 the second, .5 a tie.
        references: (P,), which reference each pair is of.
    """

    differences: Array
    labels: Array
    references: np.ndarray[tuple[int], np.dtype[np.int64]]


class Variant(NamedTuple):
    """A choice of parts, with weights of their own or all alike."""

    name: str
    parts: tuple[int, ...]
    is_fitted: bool


class Scores(NamedTuple):
    """Means over held-out references x held-out voters: cross entropy in nats, share of votes agreed with."""

    cross_entropy: float
    accuracy: float


def main(argv: list[str]) -> int:
    """Fit, print the ablations, write the JSON."""
    config = parse_config(FitConfig, argv, "lic preferences fit", str(FitConfig.__doc__))
    folder = Path(config.pcmp).expanduser()
    pcmp = load_pcmp(folder)
    output = Path(config.output).expanduser() if config.output else folder / "fitted.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    settings = with_backbones(config.metric, pcmp.is_drawn).mlclipsim
    backbone = build_mlclipsim(settings).backbone
    metric = MLCLIPSim(backbone, settings.layers or range(backbone.num_layers)).eval().to(pick_device(config.device))
    votes = read_votes(pcmp, metric)
    scores = {each: cross_validate(votes, each, config.folds) for each in variants(metric.layers)}
    fitted = fit_weights(votes.differences, votes.labels.mean(1))
    if math.isinf(fitted.temperature):
        raise ValueError(f"the votes of PCMP {config.pcmp} go against every part of this encoder: nothing to fit")
    _print_scores(scores, votes)
    _print_weights(fitted, metric.layers)
    best = next(value for each, value in scores.items() if each.name == "fitted")
    made_from = {
        "pcmp": Path(config.pcmp).name, "pairs": len(votes.labels), "voters": pcmp.voters_of("fit"),
        "held_out_accuracy": round(best.accuracy, 4), "held_out_cross_entropy": round(best.cross_entropy, 4),
    }  # fmt: skip
    content = {
        "backbone": settings.backbone, "input_px": settings.input_px,
        "layers": metric.layers, "weights": [round(float(w), 6) for w in fitted.weights],
        "temperature": fitted.temperature, "made_from": made_from,
    }  # fmt: skip
    write_file((json.dumps(content, indent=1) + "\n").encode(), output)
    print(f"weights: {output}   (python -m lic train --mlclipsim.fitted {output})")
    return 0


def read_votes(pcmp: PCMP, metric: MLCLIPSim) -> Votes:
    """Return the votes of the part "fit", with the distances from its folder's cache or computed."""
    pairs = pcmp.select("fit")
    compared = as_preference_set(pcmp, "fit", "fit").compared
    names = [[pair.first.name, pair.second.name] for pair in compared]
    state = [tensor.cpu().numpy().tobytes() for tensor in metric.backbone.state_dict().values()]
    key = hashlib.sha256(b"".join([json.dumps([metric.layers, metric.backbone.input_px, names]).encode(), *state]))
    cache = pcmp.folder / "distances" / f"{key.hexdigest()[:16]}.npy"
    if not cache.is_file():
        cache.parent.mkdir(exist_ok=True)
        partial = cache.with_suffix(".partial.npy")
        np.save(partial, measure_differences(compared, metric))
        partial.replace(cache)
    voters = pcmp.voters_of("fit")
    labels = np.array([[pair.votes[voter] for voter in voters] for pair in pairs])
    _, references = np.unique([pair.reference for pair in pairs], return_inverse=True)
    return Votes(np.load(cache), labels, references)


def measure_differences(compared: Sequence[Compared], metric: MLCLIPSim) -> Array:
    """Return (P, L): distance of the second image minus that of the first, by part; a reference is seen once."""
    device = metric.layer_weights.device
    groups = [list(group) for _, group in itertools.groupby(compared, lambda pair: pair.reference.name)]
    rows: list[Tensor] = []
    with torch.no_grad():
        for pairs in track(groups, "distances at every layer", transient=True):
            seen = metric.see(pairs[0].reference.read().to(device))
            for pair in pairs:
                both = torch.cat([pair.first.read(), pair.second.read()]).to(device)
                first, second = metric.parts(both, seen).double().cpu()
                rows.append(second - first)
    return torch.stack(rows).numpy()


def variants(layers: Sequence[int]) -> list[Variant]:
    """Return what is compared: all parts fitted and alike, tokens only, the embedding only, each layer alone."""
    tokens = tuple(range(len(layers)))
    everything = (*tokens, len(layers))
    singles = [Variant(f"layer {layer} only", (i,), False) for i, layer in enumerate(layers)]
    return [
        Variant("fitted", everything, True),
        Variant("uniform", everything, False),
        Variant("tokens only, fitted", tokens, True),
        Variant("tokens only, uniform", tokens, False),
        Variant("embedding only", (len(layers),), False),
        *singles,
    ]


def cross_validate(votes: Votes, variant: Variant, num_folds: int) -> Scores:
    """Return the means over folds of references and left-out voters; a single voter is not left out."""
    num_voters = votes.labels.shape[1]
    fold = votes.references % num_folds
    scores = []
    for held_out, voter in itertools.product(range(num_folds), range(num_voters)):
        others = [v for v in range(num_voters) if v != voter] or [voter]
        known, unknown = fold != held_out, fold == held_out
        if not known.any() or not unknown.any():
            raise ValueError(f"{len(set(votes.references))} references are too few for {num_folds} folds")
        fitted = _fit(votes.differences[known], votes.labels[known][:, others].mean(1), variant)
        differences, labels = votes.differences[unknown], votes.labels[unknown, voter]
        scores.append([cross_entropy(differences, labels, fitted), accuracy(differences, labels, fitted.weights)])
    return Scores(*np.mean(scores, 0).tolist())


def _fit(differences: Array, labels: Array, variant: Variant) -> Weights:
    if variant.is_fitted:
        return fit_weights(differences, labels, variant.parts)
    weights = np.zeros(differences.shape[1])
    weights[list(variant.parts)] = 1 / len(variant.parts)
    return fit_temperature(differences, labels, weights)


def _print_scores(scores: dict[Variant, Scores], votes: Votes) -> None:
    pairs, num_voters = votes.labels.shape
    table = Table(title=f"{pairs} pairs, {num_voters} voters; on held-out references by held-out voters", box=None)
    table.add_column("parts")
    table.add_column("votes agreed with, %", justify="right")
    table.add_column("cross entropy, nats", justify="right")
    for variant, value in scores.items():
        table.add_row(variant.name, f"{100 * value.accuracy:.2f}", f"{value.cross_entropy:.4f}")
    Console().print(table)


def _print_weights(fitted: Weights, layers: Sequence[int]) -> None:
    names = [*(f"layer {layer}" for layer in layers), "embedding"]
    shares = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, fitted.weights, strict=True))
    print(f"fitted to all of them: {shares}; temperature {fitted.temperature:.4g}")
