"""The commands of README and docs run, shortened by flags; their tables are those of the results; their links lead on.

`docs/experiments.md` is a log: its commands are of their days.
"""

import glob
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lic.cli import parse_config
from lic.codecs import SHIPPED as SHIPPED_FOLDER
from lic.codecs import load_codec
from lic.curves.comparison import bd_rows
from lic.curves.results import Results
from lic.curves.table import print_bd_rates, print_results
from lic.images import write_image
from lic.printing import Console
from lic.settings.evaluate import EvalConfig
from lic.settings.preferences import BenchmarkConfig, BuildConfig
from lic.settings.train import TrainConfig
from tests.result_tables import SHIPPED, TASKS, load, reliability, scaling, tables
from tests.support import noise_image, shorten

ROOT = Path(__file__).parents[1]
IN_ORDER = ("train", "evaluate", "compare", "codecs", "streams", "metrics", "pcmp", "results")  # of what they leave
LOG = ROOT / "docs" / "experiments.md"
PAGES = list(dict.fromkeys([ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in IN_ORDER),
                            *sorted((ROOT / "docs").glob("*.md"))]))  # fmt: skip
PAGES.remove(LOG)
LINKING = [*PAGES, LOG, ROOT / "CONTRIBUTING.md"]

ELSEWHERE = (  # own tests: minutes, the network, an account
    "calibrate", "demo-networks", "sweep", "download", "dashboard",
)  # fmt: skip
SHORTENED = {  # by other flags than those of train.py and eval.py
    "preferences build": ["--num_references", "8", "--pairs_per_reference", "2"],
    "preferences benchmark": ["--resamples", "20"],
    "distortions probe": ["--steps", "2", "--num_images", "1"],
}
AT_HAND = ("~/data", "VTM/bin", "--trainer.devices")  # of commands that need what a user has; their settings are read
SETTINGS = {"train.py": TrainConfig, "eval.py": EvalConfig, "build": BuildConfig, "benchmark": BenchmarkConfig}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Return the python commands of all pages, each once: of shell blocks, then of tables' cells; without comments."""
    lines: list[str] = []
    for page in PAGES:
        blocks = re.findall(r"```sh\n(.*?)```", text_of(page), re.S)
        lines += [line.split("&&")[-1].strip() for block in blocks for line in block.splitlines()]
    for page in PAGES:
        rows = [line for line in text_of(page).splitlines() if line.startswith("|")]
        lines += [word for row in rows for word in re.findall(r"`([^`]+)`", row)]
    called = [line for line in lines if re.match(r"(python|torchrun) ", line)]
    split = [tuple(shlex.split(line, comments=True)) for line in called]
    return [list(words) for words in dict.fromkeys(split)]


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    for i in range(4):
        write_image(noise_image(i, 140, 150), tmp_path / "photos" / f"{i}.png")
    for name in ("a.png", "b.png", "photo.png"):
        write_image(noise_image(len(name), 128, 128), tmp_path / name)
    for name in ("configs", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "scores.csv").write_text("lpips,mos\n0.1,5\n0.3,3\n0.2,4.5\n0.6,1\n0.5,2\n0.4,2.5\n")
    (tmp_path / "theirs.json").write_text('{"bpp": [0.1, 0.2, 0.4], "psnr": [28, 30, 33]}')
    (tmp_path / "more.csv").write_text("bpp,psnr\n0.1,27\n0.2,29\n0.4,32\n")
    ran = 0
    for command in commands():
        whole = " ".join(command)
        if any(word in command for word in ELSEWHERE):
            continue
        is_users = any(word.startswith(AT_HAND) for word in command) or command[0] == "torchrun"
        if is_users or (command[3:4] == ["preferences"] and "~/" in whole):
            _read_settings(command)
            continue
        _run(command)
        ran += 1
    assert ran >= 20
    output = capsys.readouterr().out
    assert "embedded demo scenes (synthetic; not COCO, not photographs)" in output
    assert "wandb sync" in output
    (tmp_path / "runs").rename(tmp_path / "kept")


def _read_settings(command: list[str]) -> None:
    """Read the settings of a command that cannot run here: it must name what it needs, and no unknown flag."""
    program = next(word for word in command if word in SETTINGS)
    settings = parse_config(SETTINGS[program], command[command.index(program) + 1 :], program, "")
    if program == "eval.py":
        assert settings.task


def _run(command: list[str]) -> None:
    assert command[0] == "python", command
    if command[1] == "-m":
        command = [*command, *SHORTENED.get(" ".join(command[3:5]), [])]
        assert command[2] == "lic"
        arguments = [name for word in command[3:] for name in (sorted(glob.glob(word)) or [word])]
        runpy.run_path(str(ROOT / "lic" / "__main__.py"))["main"](arguments)
        return
    if "folder" in command and "mse" not in command:
        command = [*command, "--mlclipsim.backbone", "demo"]  # the default's weights are fetched
    is_resuming = "--resume" in command
    arguments = [str(Path(word).expanduser()) for word in command[2:]]
    arguments = [*arguments, "--trainer.max_steps", "3"] if is_resuming else shorten([command[1], *arguments])[1:]
    assert runpy.run_path(str(ROOT / command[1]))["main"](arguments) == 0


@pytest.mark.parametrize("name", ["streams.md", "metrics.md", "api.md"])
def test_python_runs(name: str) -> None:
    image, reconstruction = noise_image(0, 128, 128), noise_image(1, 128, 128)
    codec = load_codec(SHIPPED_FOLDER / f"{SHIPPED[1]}.safetensors")
    (block,) = re.findall(r"```python\n(.*?)```", text_of(ROOT / "docs" / name), re.S)
    found = {"image": image, "reconstruction": reconstruction, "codec": codec}
    with torch.no_grad():
        exec(block, found)
    assert found["image"].shape == image.shape
    assert name != "metrics.md" or (found["similarity"].shape == (1,) and 0 < found["similarity"] < 1)


def tables_in(text: str) -> list[str]:
    """Return the tables of a page, each ending in a newline."""
    return re.findall(r"(?:^\|.*\n)+", text, re.M)


def test_tables_are_those_of_the_results() -> None:
    made = list(tables())
    known = [*made, reliability(), *scaling()]
    of_results = tables_in(text_of(ROOT / "docs" / "results.md"))
    for table in made:
        assert table in of_results, table
    number = re.compile(r"[-+]?\d+(\.\d+)?( %)?$")
    for page in PAGES:
        for table in tables_in(text_of(page)):
            cells = [cell.strip() for row in table.splitlines() for cell in row.split("|")]
            assert table in known or not any(map(number.match, cells)), f"{page.name}: not of tests/result_tables.py"
    assert made[1] in tables_in(text_of(ROOT / "README.md"))


def test_sentences_are_those_of_the_results() -> None:
    mse, mlclipsim = load("demo", *SHIPPED)
    training, results = (" ".join(text_of(ROOT / "docs" / name).split()) for name in ("train.md", "results.md"))
    shipped, reference = (_interpolated(each, 0.270) for each in (mlclipsim, mse))
    assert f"has, interpolated, {shipped} at that rate, and the shipped mse codec {reference}." in training
    rows = bd_rows(mse, [mse, mlclipsim])
    lost_db = next(row.accuracy.value for row in rows if row.quality == "PSNR")
    assert lost_db is not None and f"pays for this with {-lost_db:.1f} dB of PSNR at equal bits" in results
    psnr = float(list(tables())[6].split("|")[-3])  # of the longer training at many rates
    assert f"needs {-psnr:.0f} % fewer bits at equal PSNR" in results


def _interpolated(results: Results, bpp: float) -> str:
    """Return the three scores at a rate, linear over log bpp between two operating points."""
    rates = np.log([point.bpp for point in results.points])
    scores = [np.interp(np.log(bpp), rates, [100 * point.score(task) for point in results.points]) for task in TASKS]
    return " / ".join(f"{score:.1f}" for score in scores)


def test_readme_prints_what_eval_prints() -> None:
    readme = text_of(ROOT / "README.md")
    block = readme.split("python eval.py --task coco-det\n```\n\n```\n")[1].split("```")[0]
    mse, *others = (_judged_by(each, "coco-det") for each in load("demo", *SHIPPED, "jpeg", "webp"))
    results = [others[0], mse, *others[1:]]
    console = Console(width=100)
    with console.capture() as capture:
        print_results(results, console)
        print_bd_rates(mse, results, console)
    printed = [line.rstrip() for line in capture.get().splitlines()]
    shown = [line for line in block.splitlines() if line != "..."]
    assert len(shown) >= 8
    position = 0
    for line in shown:
        position = printed.index(line, position) + 1


def _judged_by(results: Results, task: str) -> Results:
    points = tuple(replace(point, tasks={task: point.tasks[task]}) for point in results.points)
    return replace(results, points=points, ceiling={task: results.ceiling[task]})


def test_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 8000


def prose(path: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text_of(path), flags=re.S | re.M)


def anchors(path: Path) -> set[str]:
    """Return what a page's headings are called in links, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[str]:
    """Yield the relative links of a page, pictures included."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        name = target.relative_to(ROOT).as_posix()
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: {name} has no such heading"


@pytest.mark.parametrize("page", [page for page in LINKING if page != LOG], ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    folders = r"lic|tests|configs|results|benchmarks|checkpoints|docs"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", prose(page)):
        assert (ROOT / name).exists(), f"{name} does not exist"


def test_every_page_is_in_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert {page.relative_to(ROOT).as_posix() for page in LINKING if page.name != "README.md"} <= linked
