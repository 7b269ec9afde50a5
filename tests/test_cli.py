"""The command line: what it takes, what it refuses in one line, and what it writes for the next run."""

import dataclasses
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import lic
from lic import __main__
from lic.cli import command_line, parse_config, reporting_mistakes, save_config, with_resumed_config
from lic.settings.evaluate import EvalConfig, TrainingEvalConfig
from lic.settings.metrics import MLCLIPSimConfig
from lic.settings.names import AnyCodecName, DistortionName
from lic.settings.train import TrainConfig, TrainerConfig
from lic.tasks import CARDS

ROOT = Path(__file__).parents[1]
DISTORTIONS = ", ".join(get_args(DistortionName))
TASKS = ", ".join(card.name for card in CARDS)


def parse(*words: str) -> TrainConfig:
    return parse_config(TrainConfig, words, "train.py", "Train.")


def mistake(capsys: pytest.CaptureFixture[str], *words: str, config: type = TrainConfig) -> str:
    """The one line that a wrong command line gives."""
    with pytest.raises(SystemExit) as exit_:
        parse_config(config, words, "train.py", "Train.")
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("train.py: ") and captured.err.endswith("\n") and captured.err.count("\n") == 1
    return captured.err.removeprefix("train.py: ").rstrip("\n")


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text)
    return str(path)


def setting_names(config: type, prefix: str = "") -> Iterator[str]:
    """The dotted names of all fields, from the dataclass alone."""
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(field.type):
            yield from setting_names(field.type, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            yield prefix + field.name


@pytest.mark.parametrize(
    ("words", "name", "nearest"),
    [
        (["--lmda", "0.1"], "--lmda", "--lmbda"),
        (["--lmda=0.1"], "--lmda", "--lmbda"),
        (["--lmbd", "0.1"], "--lmbd", "--lmbda"),  # no abbreviations: they change meaning when settings are added
        (["--trainer.max_step", "5"], "--trainer.max_step", "--trainer.max_steps"),
        (["--trainer.devices", "1", "--max_steps", "5"], "--max_steps", "--trainer.max_steps"),
        (["--trainer.acumulate_grad_batches", "2"], "--trainer.acumulate_grad_batches",
         "--trainer.accumulate_grad_batches"),
    ],
)
def test_unknown_flag(capsys: pytest.CaptureFixture[str], words: list[str], name: str, nearest: str) -> None:
    message = mistake(capsys, *words)
    assert message.startswith(f"setting '{name}' is unknown; did you mean '{nearest}'? Choose from: ")
    listed = message.split("Choose from: ")[1].split(", ")
    assert sorted(listed) == sorted(
        ["--help", "--config", "--print_config", *(f"--{name}" for name in setting_names(TrainConfig))]
    )


def test_flag_like_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    message = mistake(capsys, "--qqqqqqqq", "1")
    assert "'--qqqqqqqq' is unknown. Choose from: " in message and "did you mean" not in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distortion", "mlclip"], "distortion 'mlclip' is unknown; did you mean 'mlclipsim'? "
                                     f"Choose from: {DISTORTIONS}"),
        (["--codec=mbt2018-men"], "codec 'mbt2018-men' is unknown; did you mean 'mbt2018-mean'? "
                                  f"Choose from: {', '.join(get_args(AnyCodecName))}"),
        (["--distortion", "zzz"], f"distortion 'zzz' is unknown. Choose from: {DISTORTIONS}"),
        (["--eval.task", "coco-det", "voc-sg"], "eval.task 'voc-sg' is unknown; did you mean 'voc-seg'? "
                                                f"Choose from: {TASKS}"),
        (["--eval.task=coco-dt"], f"eval.task 'coco-dt' is unknown; did you mean 'coco-det'? Choose from: {TASKS}"),
        (["--trainer.precision", "bf16"], "trainer.precision 'bf16' is unknown; did you mean 'bf16-mixed'? "
                                          "Choose from: auto, 32-true, bf16-mixed"),
        (["--lmbda", "abc"], "lmbda 'abc' is not valid: expected float"),
        (["--trainer.max_steps", "2.5"], "trainer.max_steps '2.5' is not valid: expected int"),
        (["--mlclipsim.layers", "x"], "mlclipsim.layers 'x' is not valid: expected int"),
        (["--lmbda"], "lmbda must be one or more different numbers, got []"),
        (["--lmbda", "0.01", "0.01"], "lmbda must be one or more different numbers, got [0.01, 0.01]"),
        (["--seed"], "argument --seed: expected one argument"),
        (["stray"], "unexpected value 'stray': a setting takes one value unless it is a list"),
        (["--seed", "1", "2"], "unexpected value '2': a setting takes one value unless it is a list"),
        (["--lmbda", "0.1", "0.2"], "mbt2018-mean has one rate: give one --lmbda, or --codec mbt2018-mean-vbr or "
                                    "its like"),
    ],
)  # fmt: skip
def test_wrong_value(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert mistake(capsys, *words) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lmbda", "-1"], "lmbda must lie between 1e-06 and 10000, usual are 0.0018 to 0.18; got -1.0"),
        (["--lmbda=-1"], "lmbda must lie between 1e-06 and 10000, usual are 0.0018 to 0.18; got -1.0"),
        (["--lmbda", "0"], "lmbda must lie between 1e-06 and 10000, usual are 0.0018 to 0.18; got 0.0"),
        (["--trainer.max_steps", "0"], "trainer.max_steps must be positive, got 0"),
        (["--trainer.devices", "0"], "trainer.devices must be positive, got 0"),
        (["--mlclipsim.input_px", "0"], "input_px must be positive, got 0"),
        (["--warmup_mse", "1.5"], "warmup_mse is a share of the steps, 0 .. 1, got 1.5"),
        (["--ema_decay", "1"], "ema_decay must be in 0 .. 1, got 1.0"),
        (["--crop_px", "0"], "crop_px must be positive, got 0"),
        (["--crop_px", "64", "128"],
         "crop_px must begin with a value without a step, and steps must rise, got [64, 128]"),
        (["--crop_px", "64@3"], "crop_px must begin with a value without a step, and steps must rise, got ['64@3']"),
        (["--crop_px", "64", "x@3"], "crop_px must be numbers such as 256 512@1200000, got 'x@3'"),
        (["--crop_px", "64", "128.5@3"], "crop_px is in pixels, got [64, '128.5@3']"),
        (["--learning_rate", "1e-4", "1e-5@7"], "several values of --learning_rate go with --schedule steps"),
        (["--learning_rate", "-1"], "learning_rate must be positive, got -1.0"),
        (["--trainer.gradient_clip_val", "1"], "trainer.gradient_clip_val is set here: it is --clip_norm"),
        (["--trainer.accumulate_grad_batches=x"],
         "trainer.accumulate_grad_batches must be a positive whole number, got x"),
        (["--min_scale", "0"], "min_scale must be above 0 and at most 1, got 0.0"),
        (["--checkpoint_every", "0"], "checkpoint_every must be positive, got 0"),
        (["--mlclipsim.encoder", "a"], "setting '--mlclipsim.encoder' is unknown: it is --mlclipsim.backbone now"),
        (["--eval.limit", "0"], "limit must be positive, got 0"),
        (["--eval.task"], "task is an empty list; name at least one, such as coco-det"),
        (["--eval.every_n_steps", "-1"], "eval.every_n_steps must be 0 or more, got -1"),
        (["--eval.baseline", "jpeg", "vtm"], "eval.baseline vtm takes programs of yours; compare with it by lic eval"),
        (["--data", "folder", "--data_root", "x", "--eval.task", "coco-det"],
         "--eval.task needs --eval.data_root, the folder with labelled images; without either, the held-out images of "
         "--data_root are coded and no task judges them"),
        (["--data", "folder"], "--data folder needs --data_root, where the images are"),
        (["--data_root", "x"], "--data_root goes with --data folder or webdataset, not with --data scenes"),
    ],
)
def test_impossible_value(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert mistake(capsys, *words) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lmda: 0.1", "setting 'lmda' is unknown; did you mean 'lmbda'? Choose from: lmbda, distortion, "),
        ("trainer:\n  max_step: 4", "setting 'trainer.max_step' is unknown; did you mean 'trainer.max_steps'? "),
        ("trainr:\n  max_steps: 4", "setting 'trainr.max_steps' is unknown; did you mean 'trainer.max_steps'? "),
        ("distortion: mlclip", f"distortion 'mlclip' is unknown; did you mean 'mlclipsim'? Choose from: {DISTORTIONS}"),
        ("trainer:\n  max_steps: many", "trainer.max_steps 'many' is not valid: expected int"),
        ("lmbda: -1", "lmbda must lie between 1e-06 and 10000, usual are 0.0018 to 0.18; got -1"),
        ("task: [coco-det]", "setting 'task' is unknown; did you mean 'eval.task'? "),  # as before 2026-11-26
        ("limit: null", "setting 'limit' is unknown; did you mean 'eval.limit'? "),
        ("eval_every_n_epochs: 0", "setting 'eval_every_n_epochs' is unknown; did you mean 'eval.every_n_steps'? "),
        ("wandb: auto", "wandb 'auto' is not valid: it is several settings. Choose from: wandb.project, wandb.entity, "
                        "wandb.mode, wandb.tags"),
    ],
)
def test_mistake_in_yaml(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, expected: str) -> None:
    message = mistake(capsys, "--config", yaml_file(tmp_path, text))
    assert message.startswith(expected)
    if "Choose from: lmbda" in message:  # keys of a YAML file, not flags
        assert message.split("Choose from: ")[1].split(", ") == list(setting_names(TrainConfig))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"lmbda: [1, 2\n  x: :\n", "is not YAML: while parsing"),
        (b"\xff\xfe\x00", "is not YAML: 'utf-8' codec can't decode"),
        (b"- a\n- b\n", "holds no settings; expected lines such as 'lmbda: 0.01'"),
        (b"hello", "holds no settings; expected lines such as 'lmbda: 0.01'"),
        (b"", "holds no settings; expected lines such as 'lmbda: 0.01'"),
    ],
)
@pytest.mark.parametrize("joint", [" ", "="])
def test_file_that_is_no_yaml_of_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, cause: str, joint: str
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    assert mistake(capsys, *f"--config{joint}{path}".split(" ")).startswith(f"config {path} {cause}")


def test_missing_yaml(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in mistake(capsys, "--config", str(tmp_path / "none.yaml"))
    assert str(tmp_path) in mistake(capsys, "--config", str(tmp_path))


@pytest.mark.parametrize("joint", [" ", "="])
def test_shipped_yaml_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joint: str) -> None:
    words = f"--config{joint}configs/train/variable_rate.yaml".split(" ")
    expected = TrainConfig(codec="mbt2018-mean-vbr", lmbda=[0.0018, 0.0067, 0.025, 0.09], distortion="mse")
    monkeypatch.chdir(tmp_path)
    assert parse(*words) == expected
    Path("configs/train").mkdir(parents=True)
    Path("configs/train/variable_rate.yaml").write_text("seed: 3")  # the user's own goes first
    assert parse(*words) == TrainConfig(seed=3)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["train.py", "--name", "a b"], "python train.py --name 'a b'"),
        (["/venv/bin/lic", "eval", "--limit", "2"], "lic eval --limit 2"),
        (["/somewhere/lic/__main__.py", "eval"], "python -m lic eval"),
    ],
)
def test_command_line(argv: list[str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == expected


def judged(*task: Any, **settings: Any) -> TrainingEvalConfig:
    return TrainingEvalConfig(task=list(task), **settings)


def test_later_overrides_earlier(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "lmbda: 0.02\nseed: 5\ntrainer:\n  max_steps: 7\n")
    assert parse() == TrainConfig()
    assert parse("--config", file) == TrainConfig(lmbda=0.02, seed=5, trainer=TrainerConfig(max_steps=7))
    after = parse("--config", file, "--lmbda", "0.03", "--trainer.devices", "2")
    assert after == TrainConfig(lmbda=0.03, seed=5, trainer=TrainerConfig(max_steps=7, devices=2))
    before = parse("--lmbda", "0.03", "--trainer.devices", "2", "--config", file)
    assert before == TrainConfig(lmbda=0.02, seed=5, trainer=TrainerConfig(max_steps=7, devices=2))
    other = tmp_path / "other.yaml"
    other.write_text("lmbda: 1e-2\neval:\n  task: [voc-seg]\n")  # YAML 1.1 would read 1e-2 as a string
    both = parse("--config", file, "--config", str(other), "--seed=6")
    assert both == TrainConfig(lmbda=0.01, seed=6, eval=judged("voc-seg"), trainer=TrainerConfig(max_steps=7))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--eval.task coco-det", TrainConfig(eval=judged("coco-det"))),
        ("--eval.task=coco-det", TrainConfig(eval=judged("coco-det"))),
        ("--eval.task coco-det voc-seg --seed 1", TrainConfig(eval=judged("coco-det", "voc-seg"), seed=1)),
        ("--eval.task=['coco-det','voc-seg']",  # as W&B sweeps write lists
         TrainConfig(eval=judged("coco-det", "voc-seg"))),
        ("--eval.task coco-det --eval.task voc-seg", TrainConfig(eval=judged("voc-seg"))),
        ("--mlclipsim.layers 1 3 --mlclipsim.weights 1 0.5 2e-1",
         TrainConfig(mlclipsim=MLCLIPSimConfig(layers=[1, 3], weights=[1, 0.5, 0.2]))),
        ("--mlclipsim.layers=[1,3]", TrainConfig(mlclipsim=MLCLIPSimConfig(layers=[1, 3]))),
    ],
)  # fmt: skip
def test_lists(words: str, expected: TrainConfig) -> None:
    assert parse(*words.split()) == expected


def test_lists_of_paths() -> None:
    paths = ["runs/a b", "null", "x: y", "-", "runs/*.ckpt"]
    assert parse_config(EvalConfig, ["--checkpoint", *paths, "--limit", "3"], "eval.py", "").checkpoint == paths


def test_print_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse("--lmbda", "0.02", "--eval.task", "coco-det", "--trainer.max_steps=9", "--print_config")
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    expected = TrainConfig(lmbda=0.02, eval=judged("coco-det"), trainer=TrainerConfig(max_steps=9))
    assert yaml.safe_load(printed) == dataclasses.asdict(expected)
    assert parse("--config", yaml_file(tmp_path, printed)) == expected


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(
            lmbda=1e-5, data="folder", data_root="/a b/ü: #1", name="1e-3", output="null",
            eval=judged("voc-seg", limit=3, data_root="/voc"),
            mlclipsim=MLCLIPSimConfig(layers=[0, 5], weights=[0.1, 1, 1e-7]),
            trainer=TrainerConfig(precision="32-true"),
        ),
        EvalConfig(checkpoint=["12", "true", "[x]"], baseline=[], save_images=True, task=["coco-det"]),
    ],
)  # fmt: skip
def test_saved_config_reruns(config: Any, tmp_path: Path) -> None:
    save_config(config, tmp_path / "config.yaml")
    again = parse_config(type(config), ["--config", str(tmp_path / "config.yaml")], "train.py", "")
    assert again == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert (tmp_path / "config.yaml").stat().st_mode & 0o777 == 0o644


def test_resume_takes_the_settings_beside_the_checkpoint(tmp_path: Path) -> None:
    resumed = str(tmp_path / "last.ckpt")
    assert with_resumed_config(["--lmbda", "1", "--resume", resumed]) == ["--lmbda", "1", "--resume", resumed]
    save_config(TrainConfig(lmbda=0.05, seed=4, name="first"), tmp_path / "config.yaml")
    assert with_resumed_config(["--seed", "7"]) == ["--seed", "7"]
    assert with_resumed_config(["--resume"]) == ["--resume"]
    for flags in (["--resume", resumed], [f"--resume={resumed}"]):
        config = parse(*with_resumed_config(["--seed", "7", *flags]))
        assert config == TrainConfig(lmbda=0.05, seed=7, name="first", resume=resumed)


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for error, line in [
        (ValueError("no such thing"), "no such thing"),
        (ValueError("Traceback\n  somewhere\nValueError: the cause"), "the cause"),
        (FileNotFoundError(2, "No such file or directory", "x.png"), "'x.png': No such file or directory"),
        (ValueError(), "ValueError"),
    ]:
        with pytest.raises(SystemExit) as exit_, reporting_mistakes("eval.py"):
            raise error
        assert exit_.value.code == 2
        assert capsys.readouterr().err == f"eval.py: {line}\n"
    with pytest.raises(ZeroDivisionError), reporting_mistakes("eval.py"):  # ours, not theirs: keep the traceback
        _ = 1 / 0


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        __main__.main(["curvs", "a.json"])
    assert exit_.value.code == 2
    expected = "lic: command 'curvs' is unknown; did you mean 'curves'? Choose from: "
    assert capsys.readouterr().err == f"{expected}{', '.join(__main__.COMMANDS)}\n"
    __main__.main([])
    printed = capsys.readouterr().out
    assert all(re.search(rf"^{command} ", printed, re.M) for command in __main__.COMMANDS)
    files = {path.stem.replace("_", "-") for path in (ROOT / "lic/commands").glob("*.py")} - {"--init--"}
    assert files == set(__main__.COMMANDS)


def test_console_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"lic": f"lic.__main__:{__main__.run.__name__}"}

    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("lic.commands.metrics.main", interrupted)
    monkeypatch.setattr(sys, "argv", ["/venv/bin/lic", "metrics"])
    with pytest.raises(SystemExit) as caught:
        __main__.run()
    assert (caught.value.code, capsys.readouterr().err) == (130, "lic metrics: interrupted\n")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


def test_lic_gives_a_notebook_what_it_needs_and_imports_it_when_used() -> None:
    code = "import lic, sys; print('torch' in sys.modules, *(getattr(lic, name).__name__ for name in lic.__all__))"
    done = run("-c", code)
    assert done.stdout.split() == ["False", *lic.__all__]
    with pytest.raises(AttributeError, match="module 'lic' has no attribute 'encod'"):
        _ = lic.encod


def test_settings_import_no_torch() -> None:
    modules = "lic.cli, lic.settings, lic.embedded, lic.commands.train, lic.commands.eval, lic.__main__"
    done = run("-c", f"import sys, {modules}; print('torch' in sys.modules)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_further_arguments_of_the_trainer(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("trainer: {max_steps: 7, accumulate_grad_batches: 4, further: {benchmark: true}}")
    config = parse("--config", str(file), "--trainer.detect_anomaly", "--trainer.strategy=ddp", "--lmbda", "0.03")
    further = {"benchmark": True, "accumulate_grad_batches": 4, "detect_anomaly": True, "strategy": "ddp"}
    assert config == TrainConfig(lmbda=0.03, trainer=TrainerConfig(max_steps=7, further=further))
    save_config(config, tmp_path / "saved.yaml")
    assert parse("--config", str(tmp_path / "saved.yaml")) == config


@pytest.mark.parametrize(("script", "config"), [("train.py", TrainConfig), ("eval.py", EvalConfig)])
def test_help_shows_every_setting_once(script: str, config: type) -> None:
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.findall(r"^  --([\w.]+) +(\S.*)$", done.stdout, re.M)
    assert [name for name, _ in shown] == ["help", "config", "print_config", *setting_names(config)]
    assert len(done.stdout.splitlines()) < 80, "help fits on one screen"
    texts = dict(shown)
    if config is TrainConfig:
        assert texts["lmbda"].startswith("rate-distortion trade-off") and texts["lmbda"].endswith("[0.01]")
        assert f"{{{', '.join(get_args(DistortionName))}}} or FILE.py [mlclipsim]" in texts["distortion"]


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_mistake_in_a_script_answers_without_torch(script: str) -> None:
    code = f"import sys, runpy; sys.argv = ['{script}', '--lmit', '3']\n"
    code += f"try: runpy.run_path('{script}', run_name='__main__')\n"
    code += "except SystemExit as exit: print(exit.code, 'torch' in sys.modules)"
    done = run("-c", code)
    assert done.stdout == "2 False\n"
    meant = {"train.py": "--eval.limit", "eval.py": "--limit"}[script]
    assert done.stderr.startswith(f"{script}: setting '--lmit' is unknown; did you mean '{meant}'? ")
    assert done.stderr.count("\n") == 1


def test_aliases_that_grow_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    for name, text in (("bomb", "\n".join(lines)), ("itself", "lmbda: &a [*a]")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(SystemExit):
            parse_config(TrainConfig, ["--config", str(path)], "train.py", "")
        assert capsys.readouterr().err == f"train.py: config {path}: its aliases make it huge\n"
