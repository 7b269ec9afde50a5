"""How well each demo network does on held-out scenes: shares in [0, 1], higher is better."""

import contextlib
import io

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torchvision.ops import box_iou

from lic.demo.arrays import SceneArrays, clip_input, to_images
from lic.demo.losses import attribute_targets, draw_questions, draw_view, split_attributes
from lic.demo.networks import NetworkName, demo_tokenize
from lic.demo.other_networks import Embedder, VoterName
from lic.demo.reader import ANSWERS, SceneReader, to_words

BATCH = 50


def score_network(name: NetworkName | VoterName, network: nn.Module, scenes: SceneArrays) -> dict[str, float]:
    """The network's scores by name: what the checkpoint's header and the README report."""
    with torch.inference_mode():
        match name:
            case "clip":
                assert isinstance(network, open_clip.CLIP)
                return _retrieval(network, scenes)
            case "classifier" | "mobilenet" | "vit":
                guesses = torch.cat([network(part).argmax(dim=1) for part in _batches(scenes)])
                return {"top-1": float((guesses.numpy() == scenes.labels[:, 0]).mean())}
            case "detector" | "ssd":
                return {"box AP50": _box_ap50(network, scenes)}
            case "segmenter" | "unet":
                guesses = torch.cat([network(part).argmax(dim=1) for part in _batches(scenes)])
                return {"mIoU": _mean_iou(guesses.numpy(), scenes.masks)}
            case "reader":
                assert isinstance(network, SceneReader)
                return {"right answers": _right_answers(network, scenes)}
            case "regnet":
                return {"retrieval of the other view": _view_retrieval(network, scenes)}
            case "convnext":
                assert isinstance(network, Embedder)
                return _attributes(network, scenes)


def _batches(scenes: SceneArrays) -> list[Tensor]:
    """The images (n, 3, 128, 128) in [0, 1], some at a time."""
    return [to_images(scenes.images[i : i + BATCH]) for i in range(0, len(scenes), BATCH)]


def _retrieval(network: open_clip.CLIP, scenes: SceneArrays) -> dict[str, float]:
    """The share of images whose own caption is the first, or among the first five, of all the scenes' captions."""
    images = [network.encode_image(clip_input(network, part), normalize=True) for part in _batches(scenes)]
    texts = network.encode_text(demo_tokenize([str(caption) for caption in scenes.captions]), normalize=True)
    likeness = torch.cat(images) @ texts.T
    own = likeness.diagonal()[:, None]
    rank = (likeness > own).sum(dim=1)
    return {"retrieval top-1": float((rank < 1).float().mean()), "retrieval top-5": float((rank < 5).float().mean())}


def _view_retrieval(network: nn.Module, scenes: SceneArrays) -> float:
    """The share of scenes of which one view's embedding is nearest to that of the other, among all scenes."""
    rng = np.random.default_rng(0)
    images = to_images(scenes.images)
    first, second = (_unit_embeddings(network, draw_view(images, rng)) for _ in range(2))
    return float(((first @ second.T).argmax(1) == torch.arange(len(scenes))).float().mean())


def _unit_embeddings(network: nn.Module, images: Tensor) -> Tensor:
    """Embeddings (N, D) of length 1."""
    parts = [network(part) for part in images.split(BATCH)]
    return nn.functional.normalize(torch.cat(parts))


def _attributes(network: Embedder, scenes: SceneArrays) -> dict[str, float]:
    """The share of main objects whose colour is told, and whose texture, and the box's mean intersection over union."""
    answers = torch.cat([network.head(network(part)) for part in _batches(scenes)])
    colour, texture, _, box = split_attributes(answers)
    targets = attribute_targets(scenes)
    overlap = box_iou(box, targets.box).diagonal()
    told = {"colour": colour.argmax(1) == targets.colour, "texture": texture.argmax(1) == targets.texture}
    return {**{name: float(hits.float().mean()) for name, hits in told.items()}, "box IoU": float(overlap.mean())}


def _right_answers(network: SceneReader, scenes: SceneArrays) -> float:
    """The share of right answers to five kinds of questions about each scene, of all words that it knows."""
    rng, hits = np.random.default_rng(0), list[bool]()
    maps = torch.cat([network.look(part) for part in _batches(scenes)])
    for i, caption in enumerate(scenes.captions):
        questions, right = zip(*draw_questions(str(caption), rng), strict=True)
        logits = network.reply(maps[[i] * len(questions)], to_words(questions))
        hits += [ANSWERS[best] == word for best, word in zip(logits.argmax(1).tolist(), right, strict=True)]
    return float(np.mean(hits))


def _box_ap50(network: nn.Module, scenes: SceneArrays) -> float:
    """COCO's average precision at an intersection over union of 0.5, by pycocotools."""
    annotations: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    for i in range(len(scenes)):
        for (x0, y0, x1, y1), label in zip(scenes.boxes[i].tolist(), scenes.labels[i].tolist(), strict=True):
            if label >= 0:
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
                annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": label + 1, **box})
    for part, images in enumerate(_batches(scenes)):
        for i, found in enumerate(network(list(images)), start=part * BATCH):
            answer = (found[key].tolist() for key in ("boxes", "labels", "scores"))
            for (x0, y0, x1, y1), label, score in zip(*answer, strict=True):
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
                answers.append({"image_id": i, "category_id": label, **box})
    if not answers:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [{"id": i} for i in range(1, 11)]
        truth.dataset = {"images": [{"id": i} for i in range(len(scenes))], "annotations": annotations}
        truth.dataset["categories"] = categories
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1])


def _mean_iou(guesses: NDArray[np.int64], masks: NDArray[np.uint8]) -> float:
    """Intersection over union over all pixels of all scenes, averaged over background and the ten shapes."""
    confusion = np.bincount(masks.reshape(-1).astype(np.int64) * 11 + guesses.reshape(-1), minlength=121)
    confusion = confusion.reshape(11, 11)
    both, either = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    return float((both[either > 0] / either[either > 0]).mean())
