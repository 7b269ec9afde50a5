"""A task of one's own: the page's example runs, and what it writes is drawn where nobody knows it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lic.curves.facts import Facts
from lic.images import write_image
from lic.tasks import CARDS, Source, TaskCard, Verdict, build_tasks
from tests.support import noise_image

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def example() -> str:
    """The code of docs/extend.md."""
    section = (ROOT / "docs/extend.md").read_text().split("## A task of your own\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    return str(code)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures of a colour each, the last of which is labelled wrongly."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = ["file,colour"]
    for i in range(6):
        image = 0.4 * noise_image(i, 48, 64)
        image[:, i % 3] += 0.4
        write_image(image, folder / f"{i}.png")
        lines.append(f"{i}.png,{('red', 'green', 'blue')[i % 3 if i < 5 else 0]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def lic(*words: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lic", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_s_example_runs_and_is_drawn_without_it(tmp_path: Path, pictures: Path) -> None:
    guest = tmp_path / "colour.py"
    guest.write_text(example())
    lic("eval", "--task", "colour.py", "--data_root", "pictures", "--checkpoint", "[]", "--baseline", "jpeg",
        "--wandb.mode", "disabled", "--output", "out", cwd=tmp_path)  # fmt: skip
    guest.unlink()
    content = json.loads((tmp_path / "out/jpeg.json").read_text())
    assert content["dataset"] == "pictures" and content["networks"] == {"colour": ["mean-colour"]}
    assert content["config"]["task"] == ["colour.py"]
    assert content["tasks"] == {
        "colour": {"headline": "accuracy", "label": "accuracy", "subject": "Dominant colour", "unit": "%", "digits": 1,
                   "is_lower_better": False}
    }
    assert content["ceiling"] == {"colour": {"accuracy": 5 / 6}}
    assert [point["colour"] for point in content["points"]] == [{"accuracy": 5 / 6}] * 5
    assert "accuracy" in lic("curves", "out/jpeg.json", "--output", "again.png", cwd=tmp_path)
    lic("report", "out/jpeg.json", "-o", "report.html", cwd=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Dominant colour, accuracy (%)" in page and "colour by mean-colour" in page and "green" in page
    assert (tmp_path / "again.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_on_record_holds_for_the_file_as_it_is(tmp_path: Path, pictures: Path) -> None:
    prints = []
    for name, code in (("a", example()), ("b", example()), ("c", example() + "\n# edited\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "colour.py").write_text(code)
        (task,) = build_tasks([str(tmp_path / name / "colour.py")], (), pictures, CPU, 4)
        prints.append(task.fingerprint)
        assert (task.name, task.dataset, len(task.images)) == ("colour", "pictures, 4 of 6", 4)
    assert prints[0] == prints[1] != prints[2]


def refused(names: list[str], data_root: Path | None) -> str:
    with pytest.raises(ValueError) as error:
        build_tasks(names, (), data_root, CPU)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_task_is_one_line(tmp_path: Path, pictures: Path) -> None:
    def written(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return str(tmp_path / f"{name}.py")

    good = written("good", example())
    assert refused([good], None).startswith("colour has no demo scenes; give --data_root")
    assert refused([good, written("twin", example())], pictures).startswith("two of the tasks are called colour")
    assert "there is no such file" in refused([str(tmp_path / "none.py")], pictures)
    assert "must define CARD, a lic.tasks.card.TaskCard; it defines nothing" in refused([written("e", "")], pictures)
    lazy = example().replace('network, fingerprint, classes = "mean-colour", "argmax", dict', "names = dict")
    assert "lacks network, fingerprint, classes" in refused([written("lazy", lazy)], pictures)
    own = example().replace('TaskCard("colour"', 'TaskCard("coco-det"')
    assert "calls itself 'coco-det', as one of the house's own" in refused([written("own", own)], pictures)


def test_a_guest_may_ask_for_networks_and_take_the_demo_scenes(tmp_path: Path) -> None:
    """Its default on the demo scenes is the demo's network of the kind."""
    guest = tmp_path / "fine.py"
    guest.write_text(
        "import dataclasses\nfrom lic.tasks import CARDS, Facts, Verdict\n"
        "verdict = Verdict(Facts('top1', 'top-1', 'Mine', digits=3), 'classification', 'resnet50')\n"
        "CARD = dataclasses.replace(CARDS[0], name='fine', verdicts=(verdict,))\n"
    )
    (task,) = build_tasks([str(guest)], (), None, CPU, 4)
    assert (task.name, task.network, task.facts.digits) == ("fine", "demo-classification", 3)


@pytest.mark.parametrize("name", ["a@b", "bpp", "psnr_db", "mlclipsim", "quality", "", "a/b", "a b"])
def test_names_that_results_could_not_hold(name: str) -> None:
    with pytest.raises(ValueError, match=f"may not be called '{re.escape(name)}'"):
        TaskCard(name, (Verdict(Facts("top1", "top-1")),), lambda source: lambda title, network: None)  # type: ignore[arg-type,return-value]


def test_sets_are_named_with_their_size() -> None:
    card = CARDS[0]
    source = Source(Path("a/photos"), False, None, card.dataset, card.num_images, card.file_name)
    official = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 50_001)]
    assert source.describe(50_000, 50_000, official) == "ImageNet val"
    assert source.describe(3, 50_000, official) == "ImageNet val, 3 of 50000"
    assert source.describe(8, 8, official[:8]) == "photos"  # a part of it that somebody else chose
    assert source.describe(3, 50_000, [f"{i}.jpg" for i in range(50_000)]) == "photos, 3 of 50000"  # another set
    assert source._replace(dataset=None, num_images=None).describe(4, 4) == "photos"
