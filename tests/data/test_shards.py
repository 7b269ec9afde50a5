"""Shards: what goes in comes out, by number, in the middle of an epoch, from a server, and beside what is damaged."""

import csv
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from torch.utils.data import DataLoader

from lic import __main__
from lic.data.crops import Crops, StepSampler, collate
from lic.data.shards import Shards, held_out_of, index_of, open_shards, scan, without
from lic.data.source import GROUPS_AT_ONCE, Files, shuffled, split
from lic.images import UnreadableImage, read_pixels
from lic.listing import image_names
from lic.printing import Console

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small images whose red tells which."""
    folder = tmp_path / "photos"
    for i in range(40):
        path = folder / f"part {i % 3}" / f"a.b.{i}{'.png' if i % 2 else '.JPG'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(np.concatenate([noise, np.full((8, 50, 3), 6 * i, np.uint8)])).save(path, quality=95)
    return folder


def make(photos: Path, *flags: str) -> Path:
    """Write shards."""
    folder = photos.parent / "shards"
    __main__.main(["shards", str(photos), "-o", str(folder), "--shard_mb", "1", "--jobs", "1", *flags])
    return folder


@pytest.fixture
def shards(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lic.data.shard_writer.MEGABYTE", 50_000)
    return make(photos)


def failing(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the line with which a command fails."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        __main__.main([*argv])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def rows(folder: Path) -> list[dict[str, str]]:
    """The lines of all lists."""
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            found += csv.DictReader(file)
    return found


def test_what_goes_in_comes_out(photos: Path, shards: Path) -> None:
    source, listed = open_shards(str(shards), QUIET), rows(shards)
    assert len(source.groups) >= 3 and len(source) == len(listed) == 40
    assert sorted(row["source"] for row in listed) == sorted(image_names(photos))
    for i, row in enumerate(listed):
        content = Path(row["source"]).read_bytes()
        assert (int(row["bytes"]), row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert np.array_equal(source.read(i), read_pixels(row["source"])), row
        assert source.name(i).endswith(row["member"])
    order = [row["source"] for row in listed]
    assert order != sorted(order), "a shard is a random part"
    pattern = f"{shards}/{{000000..{len(source.groups) - 1:06d}}}.tar"
    assert open_shards(pattern, QUIET).groups == source.groups


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset's
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(shards: Path) -> None:
    urls = sorted(map(str, shards.glob("*.tar")))
    read = [each for each in webdataset.WebDataset(urls, shardshuffle=False)]
    assert len(read) == 40
    listed = rows(shards)
    for sample, row in zip(read, listed, strict=True):
        key, _, suffix = row["member"].partition(".")
        assert sample["__key__"] == key and hashlib.sha256(sample[suffix]).hexdigest() == row["sha256"]


def test_an_interrupted_writing_goes_on(
    photos: Path, shards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {path.name: path.read_bytes() for path in shards.iterdir()}
    for name in ("000001.csv", "000002.csv", "000002.tar"):
        (shards / name).unlink()
    (shards / "000001.tar").write_bytes(b"half")
    kept = (shards / "000000.tar").stat().st_mtime_ns
    capsys.readouterr()
    make(photos, "--jobs", "2")
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == whole
    assert (shards / "000000.tar").stat().st_mtime_ns == kept
    assert "40 images" in capsys.readouterr().out
    command = ["shards", str(photos), "-o", str(shards)]
    assert "other images, or made with other settings" in failing(capsys, *command)
    (photos / "new.png").write_bytes(b"?")
    message = failing(capsys, *command, "--shard_mb", "1")
    assert "shards.json tells which); give another -o" in message


def test_small_and_damaged_images_are_left_out_and_listed(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    (photos / "link.png").symlink_to(photos / "nowhere.png")
    Image.new("RGB", (200, 30)).save(photos / "small.png")
    folder = make(photos, "--min_side", "40")
    assert "left out: 1 too small, 2 that cannot be read" in capsys.readouterr().out
    reasons = {Path(row["source"]).name: row["left_out"] for row in rows(folder) if row["left_out"]}
    assert reasons.keys() == {"bad.jpg", "link.png", "small.png"} and reasons["small.png"] == "30 x 200 px"
    assert len(open_shards(str(folder), QUIET)) == 40


def test_downscaled(photos: Path) -> None:
    folder = make(photos, "--downscale", "2")
    source, listed = open_shards(str(folder), QUIET), rows(folder)
    for i, row in enumerate(listed):
        original = Image.fromarray(read_pixels(row["source"]))
        assert np.array_equal(source.read(i), np.array(original.resize((25, 24), Image.Resampling.LANCZOS)))
        assert row["member"].endswith(".png")


def test_crops_of_shards_are_those_of_files(photos: Path, shards: Path) -> None:
    """A source is a source: the same images in the same order give the same crops."""
    of_shards, of_files = open_shards(str(shards), QUIET), Files([row["source"] for row in rows(shards)])
    sampler = partial(StepSampler, of_shards.groups, 4, [(0, 32.0)], seed=1)
    for a, b in zip(*(DataLoader(Crops(source), batch_sampler=sampler(), collate_fn=collate, num_workers=workers)
                      for source, workers in ((of_shards, 1), (of_files, 0))), strict=True):  # fmt: skip
        assert torch.equal(a.pixels, b.pixels) and a.pixels.dtype == torch.uint8


@pytest.mark.parametrize("world_size", [1, 2])
def test_resumed_in_the_middle_of_an_epoch(world_size: int) -> None:
    groups = [13, 40, 7, *[5] * 30]
    ranks = [StepSampler(groups, 4, [(0, 32.0)], 3, rank=rank, world_size=world_size) for rank in range(world_size)]
    whole = [[draw for rank in ranks for draw in rank] for _ in range(2)]
    for first in (1, 17, len(ranks[0]) - 1, len(ranks[0]) + 3):
        resumed = [StepSampler(groups, 4, [(0, 32.0)], 3, first, rank, world_size) for rank in range(world_size)]
        rest = [draw for rank in resumed for draw in rank]
        epoch, skipped = divmod(first, len(ranks[0]))
        of_rank = len(whole[epoch]) // world_size
        expected = [each for rank in range(world_size)
                    for each in whole[epoch][rank * of_rank + skipped : (rank + 1) * of_rank]]  # fmt: skip
        assert rest == expected, first
    seen = [draw.image for batch in whole[0] for draw in batch]
    assert len(set(seen)) == len(seen) >= sum(groups) - 4 * world_size


def test_few_shards_are_open_at_a_time() -> None:
    groups = [100] * 64
    order = shuffled(groups, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(6400))
    windows = [set((part // 100).tolist()) for part in order.split(100 * GROUPS_AT_ONCE)]
    assert [len(window) for window in windows] == [GROUPS_AT_ONCE] * 4
    assert len((order[:100] // 100).unique()) > GROUPS_AT_ONCE // 2, "mixed within a window"
    assert not torch.equal(order, shuffled(groups, torch.Generator().manual_seed(1)))


def test_a_damaged_member_is_named_and_skipped(shards: Path) -> None:
    source = open_shards(str(shards), QUIET)
    content = bytearray((shards / "000001.tar").read_bytes())
    offset, size = source.tables[1][2].tolist()
    content[offset : offset + size] = bytes(size)
    offset, _ = source.tables[1][5].tolist()
    content[offset - 512 : offset] = b"?" * 512
    (shards / "000001.tar").write_bytes(content)
    start = source.groups[0]
    name = rows(shards)[start + 2]["member"]
    with pytest.raises(UnreadableImage, match=f"000001.tar: {name}': it is damaged"):
        source.read(start + 2)
    with pytest.raises(UnreadableImage, match=r"000001.tar: the image at byte .* no tar header there"):
        source.read(start + 5)
    assert source.name(start + 2).endswith(f"000001.tar: {name}") and "at byte" in source.name(start + 5)
    (shards / "000000.tar").unlink()
    with pytest.raises(UnreadableImage, match=r"000000.tar: the image at byte \d+: No such file"):
        source.read(0)
    assert "000000.tar: the image at byte" in source.name(0)
    crop = Crops(source)[next(iter(StepSampler(source.groups, 1, [(0, 32.0)], 0)))[0]._replace(image=start + 2)]
    assert crop.unreadable == start + 2


def plain_tar(path: Path, photos: Path, **extra: bytes) -> Path:
    """A shard of somebody else's, without index."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        tar.add(photos, arcname="photos")
        for name, content in extra.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_shards_of_others_are_scanned_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain_tar(tmp_path / "others" / "x.tar", photos, a_cls=b"3", b_json=b"{}")
    first = open_shards(str(path), QUIET)
    assert len(first) == 40 and not list(path.parent.glob("*.npy")), "nothing is written beside what others made"
    monkeypatch.setattr("lic.data.shards.scan", lambda _: pytest.fail("scanned again"))
    second = open_shards(str(path), QUIET)
    assert np.array_equal(first.tables[0], second.tables[0])


@pytest.mark.parametrize("cut", ["in an image", "at a header", "garbage"])
def test_a_shard_that_is_cut_off(cut: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = plain_tar(tmp_path / "x.tar", photos)
    table, damage = scan(path)
    assert damage == "" and len(table) == 40
    content = path.read_bytes()
    end = int(table[20, 0]) + {"in an image": 700, "at a header": -512, "garbage": -512}[cut]
    path.write_bytes(content[:end] + (b"?" * 5000 if cut == "garbage" else b""))
    source = open_shards(str(path), Console(width=500))
    assert len(source) == 20
    assert "is damaged after photos/" in capsys.readouterr().out and index_of(str(path))[1]
    assert np.array_equal(source.tables[0], table[:20])


def test_refused_in_a_line(photos: Path, shards: Path, tmp_path: Path) -> None:
    def refused(pattern: str) -> str:
        with pytest.raises(ValueError) as error:
            open_shards(pattern, QUIET)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "holds no .tar file; `lic shards` makes them" in refused(str(photos))
    assert "cannot be read: No such file" in refused(str(tmp_path / "no" / "{000..002}.tar"))
    (tmp_path / "text.tar").write_text("no tar file at all" * 100)
    assert "is no plain tar file" in refused(str(tmp_path / "text.tar"))
    with tarfile.open(tmp_path / "z.tar", "w:gz") as tar:
        tar.add(photos, "p")
    assert "compressed ones have to be unpacked" in refused(str(tmp_path / "z.tar"))
    with tarfile.open(tmp_path / "none.tar", "w") as tar:
        tar.add(shards / "000000.csv", "a.csv")
    assert "hold no image" in refused(str(tmp_path / "none.tar"))
    assert "no gopen handler" in refused("nfs://server/{0..3}.tar")
    for content in (b"", b"junk", (shards / "000000.index.npy").read_bytes()[:200]):
        (shards / "000000.index.npy").write_bytes(content)
        assert "delete it, and it is made anew" in refused(str(shards))
    np.save(shards / "000000.index.npy", np.zeros((3, 4)))
    assert "is no index of a shard" in refused(str(shards))


def test_a_shard_that_is_gone(shards: Path) -> None:
    """Its index is still there: a run must not go on with fewer images, in silence."""
    (shards / "000001.tar").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 shards whose indexes are there, first that of 000001\.index\.npy"):
        open_shards(str(shards), QUIET)


def test_held_out_images_are_not_trained_on(shards: Path) -> None:
    source = open_shards(str(shards), QUIET)
    folder, paths = held_out_of(source)
    kept = without(source, split(source.groups[0]))
    assert len(kept) + len(paths) == 40 and all(path.parent == folder for path in paths)
    apart = {read_pixels(path).tobytes() for path in paths}
    assert not apart & {kept.read(i).tobytes() for i in range(len(kept))}
    assert held_out_of(source) == (folder, paths)
    single = Shards(source.urls[:1], [source.tables[0][:1]])
    assert len(without(single, split(1))) == 1, "one image serves as both"


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(shards: Path) -> Iterator[str]:
    """The address of a server of the shards."""
    Handler.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(shards))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_shards_on_a_server(shards: Path, server: str, cache: Path) -> None:
    near = open_shards(str(shards), QUIET)
    last = len(near.groups) - 1
    far = open_shards(f"{server}/{{000000..{last:06d}}}.tar", QUIET)
    assert far.groups == near.groups and not any(path.endswith(".tar") for path in Handler.asked), "indices alone"
    for i in (0, 5, len(far) - 1):
        assert np.array_equal(far.read(i), near.read(i))
    assert sorted(path for path in Handler.asked if path.endswith(".tar")) == ["/000000.tar", f"/{last:06d}.tar"]
    assert far.name(5).startswith(f"{server}/000000.tar: 000000005.")
    (shards / "000000.index.npy").unlink()
    again = open_shards(f"{server}/000000.tar", QUIET)
    assert len(again) == near.groups[0], "what was fetched is kept"


def test_shards_on_a_server_without_index(shards: Path, server: str) -> None:
    expected = np.load(shards / "000000.index.npy")
    (shards / "000000.index.npy").unlink()
    assert np.array_equal(open_shards(f"{server}/000000.tar", QUIET).tables[0], expected)


def test_what_a_server_lacks(shards: Path, server: str, cache: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot fetch http://.*/nothing.tar: .* ended with exit 22"):
        open_shards(f"{server}/nothing.tar", QUIET)
    assert not list(cache.rglob("*.tar")) and not list(cache.rglob("*.tmp")), "nothing half"


def test_a_command_that_brings_shards(shards: Path) -> None:
    source = open_shards(f"pipe:cat {shards}/000000.tar", QUIET)
    assert len(source) == open_shards(f"{shards}/000000.tar", QUIET).groups[0]


def test_the_plan_tells_how_they_were_made(shards: Path) -> None:
    plan = json.loads((shards / "shards.json").read_text())
    assert plan["images"] == 40 and plan["shards"] == len(list(shards.glob("*.tar"))) and plan["downscale"] == 1
