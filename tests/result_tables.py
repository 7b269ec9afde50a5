"""The tables of results that README and docs show, made from `results/`."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lic.curves.files import load_results
from lic.curves.results import Results
from lic.curves.table import markdown_bd_rates, markdown_table

RESULTS = Path(__file__).parents[1] / "results"
TASKS = ("imagenet-cls", "coco-det", "voc-seg")
QUALITIES = (*TASKS, "mlclipsim", "psnr", "ms-ssim")
SHIPPED = ("mbt2018-mean-vbr-mse", "mbt2018-mean-vbr-mlclipsim")
PHOTOS = {  # folder: network, images and score
    "imagenet": "MobileNetV2, {} photographs of ImageNet, top-1",
    "coco-det": "YOLOX-nano, {} of COCO val2017, box AP",
    "coco-semseg": "DeepLabV3-MobileNetV2, {} of COCO val2017, mIoU",
    "camvid": "DeepLab for edge devices, {} of CamVid val, mIoU",
}
PHOTO_JUDGES = {  # folder and quality: who judges, and what
    ("imagenet", "imagenet-cls@mobilenetv2_imagenet_a.timm.fp16"): "MobileNetV2, top-1",
    ("imagenet", "imagenet-cls@squeezenet11_imagenet_227"): "SqueezeNet, top-1",
    ("coco-det", "coco-det"): "YOLOX-nano, box AP",
    ("coco-semseg", "coco-semseg"): "DeepLab on COCO, mIoU",
    ("camvid", "camvid-seg"): "DeepLab on CamVid, mIoU",
    ("kodak", "psnr"): "PSNR, Kodak",
}
METRICS = {  # as benchmark.csv calls them: as docs do
    "MS-SSIM": "MS-SSIM",
    "ML-CLIPSim (fitted)": "ML-CLIPSim, fitted weights",
    "GMSD": "GMSD",
    "FSIMc": "FSIMc",
    "Features": "Features (same encoder)",
    "ML-CLIPSim": "",  # by its layers
    "VIF": "VIF",
    "SSIM": "SSIM",
    "PSNR": "PSNR (equal by construction)",
    "(the majority's side, always)": "who always takes the majority's side",
}
CALIBRATED = ("ms-ssim", "mlclipsim", "ssim", "fsim", "gmsd", "vif", "features")


def load(folder: str, *names: str) -> list[Results]:
    """Return results of a folder by the names of their files."""
    return [load_results(RESULTS / folder / f"{name}.json") for name in names]


def tables() -> Iterator[str]:
    """Yield every table, ending in a newline."""
    demo = load("demo", *SHIPPED, "jpeg", "webp", "avif")
    yield markdown_table(demo)
    yield markdown_bd_rates(demo[0], demo, (*TASKS, "pope", "psnr"))

    names = [f"mbt2018-mean-vbr-{arm}-seed{seed}" for arm in ("mse", "ms-ssim", "mlclipsim") for seed in range(3)]
    seeds = load("demo_distortions", *names)
    yield markdown_bd_rates(seeds[0], seeds, (*TASKS, "psnr"))
    yield markdown_bd_rates(seeds[3], seeds[3:], TASKS)

    others = load("other_networks", *SHIPPED)
    judged = ("imagenet-cls@demo-mobilenet", "imagenet-cls@demo-vit", "coco-det", "voc-seg")
    yield markdown_bd_rates(others[0], others, judged)

    single, variable, longer = load(
        "variable_rate", "mbt2018-mean-mse", "mbt2018-mean-vbr-mse", "6000_steps/mbt2018-mean-vbr-mse"
    )
    for each in (variable, longer):
        yield markdown_bd_rates(single, [single, each], (*TASKS, "psnr", "ms-ssim"))

    pairs = ("mse-with-mlclipsim", "mlclipsim-with-mse")
    tuned = load("decoder", *(f"mbt2018-mean-vbr-{pair}-decoder" for pair in pairs))
    mse, mlclipsim = demo[:2]
    yield _one_stream(mse, tuned[0])
    yield markdown_bd_rates(mse, [mse, *tuned, mlclipsim], QUALITIES)

    kodak = load("photos/kodak", "mbt2018-mean-mse", "mbt2018-mean-mlclipsim", "jpeg")
    yield markdown_table(kodak).replace("ML-CLIPSim |", "ML-CLIPSim (first demo encoder) |", 1)

    yield _photo_codecs()
    yield _photos()
    yield _calibration()
    yield _votes("pcmp", "demo encoder", "ML-CLIPSim, the default (layers 0, 1, 2)")
    yield _votes("pcmp/photos", "`photos`", "ML-CLIPSim's formula, the default (layers 0 to 3)")
    yield _speed()
    yield markdown_bd_rates(demo[0], demo, ("seedbench", "mlclipsim", "ms-ssim"))


def _one_stream(original: Results, tuned: Results) -> str:
    """What two decoders make of the same streams, one after the other in each cell."""
    columns = {"imagenet-cls": ("top-1", 100, 1), "coco-det": ("box AP", 100, 1), "voc-seg": ("mIoU", 100, 1),
               "mlclipsim": ("ML-CLIPSim", 1, 4), "psnr": ("PSNR", 1, 2)}  # fmt: skip
    rows = []
    for one, other in zip(original.points, tuned.points, strict=True):
        assert one.lmbda == other.lmbda and abs(one.bpp - other.bpp) < 2e-5, "the same streams, but of two machines"
        row = [f"{one.lmbda:g}", f"{one.bpp:.3f}"]
        for quality, (_, factor, digits) in columns.items():
            values = [each.score(quality) if quality in TASKS else each.qualities[quality] for each in (one, other)]
            row.append(" / ".join(f"{factor * value:.{digits}f}" for value in values))
        rows.append(row)
    return _markdown(["lmbda", "bpp", *(title for title, *_ in columns.values())], rows)


def _photo_codecs() -> str:
    columns = []
    for folder, quality in PHOTO_JUDGES:
        others = ("mbt2018-mean-vbr-mlclipsim-ms-ssim", "mbt2018-mean-vbr-ms-ssim", "jpeg", "webp", "avif")
        mse, *others = load(f"photo_codecs/{folder}", *SHIPPED, *others)
        lines = markdown_bd_rates(mse, [mse, *others], [quality]).splitlines()[2:]
        columns.append([line.strip("| ").split(" | ") for line in lines])
    names = [name for name, _ in columns[0]]
    rows = [[name, *(column[i][1] for column in columns)] for i, name in enumerate(names)]
    return _markdown(["BD-rate against mse, %", *PHOTO_JUDGES.values()], rows)


def _photos() -> str:
    rows = []
    for folder, title in PHOTOS.items():
        jpeg, *others = load(f"photos/{folder}", "jpeg", "webp", "avif", "jpeg2000")
        (task,) = jpeg.ceiling
        at_10 = next(point for point in jpeg.points if point.quality == 10)
        rates = re.findall(r"\| ([-+][\d.]+) \|\n", markdown_bd_rates(jpeg, [jpeg, *others], [task]))
        rows.append([
            title.format(at_10.num_images), f"{100 * jpeg.ceiling_score(task):.1f}",
            f"{100 * at_10.score(task):.1f} at {at_10.bpp:.2f} bpp", *(f"{float(rate):+.0f}" for rate in rates),
        ])  # fmt: skip
    header = ["network, images, score", "uncompressed", "JPEG quality 10", "BD-rate against JPEG, %: WebP", "AVIF",
              "JPEG 2000"]  # fmt: skip
    return _markdown(header, rows)


def _calibration() -> str:
    files = [json.loads((RESULTS / "calibration" / f"{name}.json").read_text()) for name in CALIBRATED]
    assert all(file["within_15_percent"] for file in files)
    header = ["bits over those of mse", "scale", *(f"lmbda {lmbda:g}" for lmbda in files[0]["lmbda"])]
    files.append(json.loads((RESULTS / "calibration/photos/mlclipsim.json").read_text()))
    rows = [[name, f"{file['scale']:.0f}", *(f"{ratio:.2f}" for ratio in file["ratio"])]
            for name, file in zip([*CALIBRATED, "mlclipsim inside `photos`"], files, strict=True)]  # fmt: skip
    return _markdown(header, rows)


def _votes(folder: str, encoder: str, default: str) -> str:
    """The metrics of a benchmark against PCMP, the best first."""
    with (RESULTS / folder / "benchmark.csv").open(encoding="utf-8") as file:
        found = {row["metric"]: row for row in csv.DictReader(file)
                 if row["kind"] == "all" and row["statistic"] == "2afc"}  # fmt: skip
    assert found.keys() == METRICS.keys()
    rows = []
    always = "(the majority's side, always)"
    for name in sorted(found, key=lambda name: (name == always, -float(found[name]["value"]))):
        value, low, high = (float(found[name][column]) for column in ("value", "low", "high"))
        title = default if name == "ML-CLIPSim" else METRICS[name]
        rows.append([title, f"{value:.3f}", f"{low:.3f} to {high:.3f}"])
    header = [f"metric ({encoder} where it has one)", "share of votes it agrees with", "95 % interval"]
    return _markdown(header, rows)


def reliability() -> str:
    """Return the table of docs/reliability.md."""
    text = (RESULTS / "benchmarks" / "reliability.md").read_text(encoding="utf-8")
    return text[text.index("| ") :]


def scaling() -> list[str]:
    """Return the tables of docs/scaling.md."""
    texts = [(RESULTS / "benchmarks" / f"{name}.md").read_text(encoding="utf-8") for name in ("data", "growth")]
    return [table.rstrip() + "\n" for text in texts for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)]


def _speed() -> str:
    text = (RESULTS / "benchmarks" / "codecs.md").read_text(encoding="utf-8")
    measured = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| [a-z0-9-]+ \| \d", line)]
    rows = []
    for codec, size, _, *numbers, own, theirs in measured:
        encode, their_encode, encode_ratio, decode, their_decode, decode_ratio = map(float, numbers)
        change = f"{100 * (int(own) / int(theirs) - 1):+.2f} %"
        rows.append([
            f"`{codec}`" + " (against the official code)" * (codec == "mlicpp"), size,
            f"{encode:.2f}", f"{their_encode:.2f}", f"{encode_ratio:.1f}",
            f"{decode:.2f}", f"{their_decode:.2f}", f"{decode_ratio:.1f}", change,
        ])  # fmt: skip
    header = ["codec, published widths", "size", "encode s", "CompressAI", "ratio", "decode s", "CompressAI", "ratio",
              "bytes"]  # fmt: skip
    return _markdown(header, rows)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
