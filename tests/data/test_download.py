"""Downloads from a server of our own that drops connections, lies and serves damaged archives."""

import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets.voc import DATASET_YEAR_DICT

from lic import __main__
from lic.cli import reporting_mistakes
from lic.commands.download import main
from lic.data import download as command
from lic.data import transfer
from lic.data.coco import read_coco
from lic.data.download import SETS, ImageSet, SetFile, download
from lic.data.voc import read_voc
from lic.images import read_image
from lic.listing import list_images

ROOT = Path(__file__).parents[2]


class Server(ThreadingHTTPServer):
    """Serves `files` by name, with the faults that a test asks for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.has_ranges = True
        self.stops_after: list[int] = []  # bytes of the next answers' bodies, then the connection drops
        self.status: list[int] = []  # of the next answers
        self.adds_to_length = 0
        self.stalls = threading.Event()  # set: send half, then wait
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/sets"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        server, name, span = self.server, self.path.rpartition("/")[2], self.headers["Range"]
        server.asked.append((name, span))
        content = server.files.get(name)
        if content is None or server.status:
            return self.send_error(server.status.pop(0) if server.status else 404)
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and server.has_ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            return self.end_headers()
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body) + server.adds_to_length))
        self.end_headers()
        if server.stalls.is_set():
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            server.stalls.clear()
            threading.Event().wait(20)
            return None
        self.wfile.write(body[: server.stops_after.pop(0)] if server.stops_after else body)
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "FIRST_WAIT_SECONDS", 0.001)
    for name in ("coco-val", "clic2020"):  # what is served here has the publishers' layout, not their bytes
        files = [file._replace(checksum=None) for file in SETS[name].files]
        monkeypatch.setitem(SETS, name, SETS[name]._replace(files=files))
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def encoded(seed: int, suffix: str = "png", size: tuple[int, int] = (12, 8)) -> bytes:
    """A picture of noise, as a file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG" if suffix == "jpg" else suffix)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def serve_kodak(server: Server) -> dict[str, bytes]:
    server.files = {f"kodim{number:02}.png": encoded(number) for number in range(1, 25)}
    return server.files


def serve_coco(server: Server) -> None:
    listed = [{"id": 9, "file_name": "000000000009.jpg", "width": 12, "height": 8}]
    box = {"id": 1, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    content = {"images": listed, "annotations": [box], "categories": [{"id": 1, "name": "person"}]}
    server.files = {
        "val2017.zip": zipped({"val2017/": b"", "val2017/000000000009.jpg": encoded(9, "jpg")}),
        "annotations_trainval2017.zip": zipped(
            {"annotations/instances_val2017.json": json.dumps(content).encode(), "annotations/captions.json": b"{}"}
        ),
    }


def serve_alone(monkeypatch: pytest.MonkeyPatch, server: Server, name: str, content: bytes, checksum: None) -> None:
    """Make a set 'one' of a single file."""
    server.files[name] = content
    file = SetFile(f"http://publisher.invalid/{name}", "one", checksum)
    monkeypatch.setitem(SETS, "one", ImageSet([file], "https://publisher.invalid"))


def refusal(name: str, folder: Path, server: Server) -> str:
    """The one line that a download fails with."""
    with pytest.raises(ValueError) as error:
        download(name, folder, server.url)
    assert "\n" not in str(error.value)
    return str(error.value)


def tree(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, without the download's own notes."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".download" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".download").iterdir())


def test_publishers() -> None:
    voc = DATASET_YEAR_DICT["2012"]
    assert [(file.url, file.checksum) for file in SETS["voc2012"].files] == [(voc["url"], f"md5:{voc['md5']}")]
    others = [file.checksum for name in ("coco-val", "clic2020") for file in SETS[name].files]
    assert len(set(others)) == 4 and all(re.fullmatch("sha256:[0-9a-f]{64}", each or "") for each in others)
    kodak = [file.url for file in SETS["kodak"].files]
    assert kodak[0] == "https://r0k.us/graphics/kodak/kodak/kodim01.png" and kodak[23].endswith("kodak/kodim24.png")
    for images in SETS.values():
        names = [file.url.rpartition("/")[2] for file in images.files]
        assert len(set(names)) == len(names), "each has its own .part"


def test_coco(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve_coco(server)
    download("coco-val", tmp_path / "new" / "data", server.url)
    coco = read_coco(tmp_path / "new" / "data")
    assert coco.images == [tmp_path / "new" / "data" / "val2017" / "000000000009.jpg"]
    assert coco.annotations.anns[1]["bbox"] == [1, 2, 3, 4]
    printed = capsys.readouterr().out
    for name, content in server.files.items():
        assert f"{name}  {len(content)} bytes  sha256 {hashlib.sha256(content).hexdigest()}" in printed
    assert printed.splitlines()[-1] == f"complete: --data_root {tmp_path / 'new' / 'data'}"
    assert "https://cocodataset.org/#termsofuse" in printed
    assert kept(tmp_path / "new" / "data") == ["annotations_trainval2017.zip.json", "val2017.zip.json"]


def test_a_wrong_sha256(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_coco(server)
    expected = "0" * 64
    files = [file._replace(checksum=f"sha256:{expected}") for file in SETS["coco-val"].files]
    monkeypatch.setitem(SETS, "coco-val", SETS["coco-val"]._replace(files=files))
    came = hashlib.sha256(server.files["val2017.zip"]).hexdigest()
    assert f"val2017.zip: expected sha256 {expected}, came {came}" in refusal("coco-val", tmp_path, server)
    assert tree(tmp_path) == {}


def test_voc(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "VOCdevkit/VOC2012"
    content = tarred({f"{base}/ImageSets/Segmentation/val.txt": b"2007_000033\n",
                      f"{base}/JPEGImages/2007_000033.jpg": encoded(1, "jpg"),
                      f"{base}/SegmentationClass/2007_000033.png": encoded(1)})  # fmt: skip
    server.files["VOCtrainval_11-May-2012.tar"] = content
    true_md5 = str(SETS["voc2012"].files[0].checksum).removeprefix("md5:")
    message = refusal("voc2012", tmp_path, server)
    assert f"expected md5 {true_md5}, came {hashlib.md5(content).hexdigest()}" in message
    assert tree(tmp_path) == {} and kept(tmp_path) == [], "a file with a wrong checksum stays nowhere"
    file = SETS["voc2012"].files[0]._replace(checksum=f"md5:{hashlib.md5(content).hexdigest()}")
    monkeypatch.setitem(SETS, "voc2012", SETS["voc2012"]._replace(files=[file]))
    download("voc2012", tmp_path, server.url)
    assert read_voc(tmp_path).images == [tmp_path / base / "JPEGImages" / "2007_000033.jpg"]


def test_kodak_and_again(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = serve_kodak(server)
    download("kodak", tmp_path, server.url)
    assert f"--data_root {tmp_path / 'kodak'}" in capsys.readouterr().out
    images = list_images(tmp_path / "kodak")
    assert {path.name: path.read_bytes() for path in images} == files and len(images) == 24
    assert len(server.asked) == 24
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    download("kodak", tmp_path, server.url)
    assert len(server.asked) == 24 and {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    images[4].unlink()
    download("kodak", tmp_path, server.url)
    assert server.asked[24:] == [("kodim05.png", None)] and images[4].read_bytes() == files["kodim05.png"]


def test_clic(server: Server, tmp_path: Path) -> None:
    for seed, name in enumerate(("professional", "mobile")):
        server.files[f"{name}_valid_2020.zip"] = zipped({"valid/a.png": encoded(seed), "__MACOSX/valid/._a.png": b"x"})
    download("clic2020", tmp_path, server.url)
    images = list_images(tmp_path / "clic2020")
    assert images == [tmp_path / "clic2020" / name / "valid" / "a.png" for name in ("mobile", "professional")]
    assert images[0].read_bytes() != images[1].read_bytes()


def test_dropped_connections(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = encoded(1, size=(99, 99))
    serve_alone(monkeypatch, server, "a.png", content, None)
    server.stops_after, server.status = [0, 5000, 0, 7000], [503]
    download("one", tmp_path, server.url)
    spans = [None, None, None, "bytes=5000-", "bytes=5000-", "bytes=12000-"]
    assert server.asked == [("a.png", span) for span in spans]
    assert tree(tmp_path) == {"one/a.png": content} and kept(tmp_path) == ["a.png.json"]
    printed = capsys.readouterr().out
    assert "a.png: HTTP 503 Service Unavailable; next try in" in printed
    assert f"a.png: 12000 of {len(content)} bytes came; next try in" in printed


def test_goes_on_in_another_process(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(1, size=(99, 99))
    serve_alone(monkeypatch, server, "a.png", content, None)
    server.stops_after = [300] * 8  # more than are retried in a row, but each brings something
    download("one", tmp_path / "other", server.url)
    assert tree(tmp_path) == {"other/one/a.png": content}
    server.asked.clear()
    server.stops_after = [4000] + [0] * transfer.NUM_RETRIES
    message = refusal("one", tmp_path, server)
    assert f"4000 of {len(content)} bytes came" in message and "4000 bytes are kept, the same command goes" in message
    assert kept(tmp_path) == ["a.png.part"] and len(server.asked) == transfer.NUM_RETRIES + 1
    download("one", tmp_path, server.url)
    assert server.asked[-1] == ("a.png", "bytes=4000-") and tree(tmp_path)["one/a.png"] == content


@pytest.mark.parametrize("excess", [0, 10])
def test_part_that_is_whole_or_longer(
    excess: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(1)
    serve_alone(monkeypatch, server, "a.png", content, None)
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download" / "a.png.part").write_bytes(content + bytes(excess))
    download("one", tmp_path, server.url)
    assert tree(tmp_path) == {"one/a.png": content} and len(server.asked) == (2 if excess else 1)


def test_server_without_ranges(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(1, size=(99, 99))
    serve_alone(monkeypatch, server, "a.png", content, None)
    server.has_ranges, server.stops_after = False, [4000]
    download("one", tmp_path, server.url)
    assert server.asked == [("a.png", None), ("a.png", "bytes=4000-")] and tree(tmp_path) == {"one/a.png": content}


@pytest.mark.parametrize("adds", [100, -100])
def test_wrong_length(adds: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped({"a.png": encoded(1, size=(99, 99))})
    serve_alone(monkeypatch, server, "a.zip", content, None)
    server.has_ranges, server.adds_to_length = False, adds
    message = refusal("one", tmp_path, server)
    told_more = f"{len(content)} of {len(content) + adds} bytes came; gave up after {transfer.NUM_RETRIES} retries"
    assert told_more in message if adds > 0 else "a.zip is damaged" in message
    assert tree(tmp_path) == {} and kept(tmp_path) == (["a.zip.part"] if adds > 0 else [])


def test_refusals_and_no_server(server: Server, tmp_path: Path) -> None:
    assert refusal("kodak", tmp_path, server) == f"{server.url}/kodim01.png: HTTP 404 Not Found"
    assert len(server.asked) == 1, "it would be refused again"
    server.server_close()
    assert "refused; gave up after 5 retries" in refusal("kodak", tmp_path, server)


def fails_or_is_right(name: str, content: bytes, tmp_path: Path, truth: dict[str, bytes]) -> bool:
    """Whether an archive is refused; if not, what it holds must be right."""
    archive = tmp_path / "store" / name
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(content)
    into = Path(str(tmp_path / "unpacked") + hashlib.md5(content).hexdigest())
    try:
        command._unpack(archive, into)
    except ValueError as error:
        assert f"{name} is damaged or unsafe" in str(error) and not archive.exists()
        return True
    came, right = ({content[:-12] for content in each.values()} for each in (tree(into), truth))  # 12: PNG's end mark
    assert came <= right, "a name may be another, what is in it may not"
    return False


@pytest.mark.parametrize("name", ["a.zip", "a.png"])
def test_damage_anywhere(name: str, tmp_path: Path) -> None:
    image = encoded(1, size=(8, 8))
    content = zipped({"valid/a.png": image}) if name == "a.zip" else image
    truth = {"valid/a.png": image}
    assert not fails_or_is_right(name, content, tmp_path, truth)
    choose = random.Random(0)
    places = range(len(content))
    refused = {place for place in places if fails_or_is_right(name, flipped(content, place, choose), tmp_path, truth)}
    data = range(content.index(image[40:60]) if image[40:60] in content else 45, len(image) - 20)
    assert refused >= set(data) and len(refused) > 0.8 * len(content)
    for length in choose.sample(places, 40):
        assert fails_or_is_right(name, content[:length], tmp_path, truth)


def flipped(content: bytes, place: int, choose: random.Random) -> bytes:
    return content[:place] + bytes([content[place] ^ choose.randrange(1, 256)]) + content[place + 1 :]


def test_damaged_archive_then_a_good_one(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = zipped({"a.png": encoded(1, size=(50, 50))})
    serve_alone(monkeypatch, server, "a.zip", flipped(good, 1000, random.Random(0)), None)
    assert refusal("one", tmp_path, server).startswith("a.zip is damaged or unsafe (")
    assert tree(tmp_path) == {} and kept(tmp_path) == []
    server.files["a.zip"] = good
    download("one", tmp_path, server.url)
    assert list(tree(tmp_path)) == ["one/a.png"]


@pytest.mark.parametrize("evil", ["../evil.png", "/tmp/lic-evil.png", "a/../../evil.png", "..\\..\\evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_outside(kind: str, evil: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"good.png": encoded(1), evil: b"evil"}
    serve_alone(monkeypatch, server, f"a.{kind}", zipped(files) if kind == "zip" else tarred(files), None)
    folder = tmp_path / "data"
    if "\\" in evil or (kind == "tar" and evil[0] == "/"):  # a file's name here; made relative by tarfile
        download("one", folder, server.url)
        assert len(tree(folder)) == 2 and tree(tmp_path).keys() == {f"data/{name}" for name in tree(folder)}
    else:
        assert f"a.{kind} is damaged or unsafe" in refusal("one", folder, server)
        assert tree(tmp_path) == {} and kept(folder) == []
    assert not Path("/tmp/lic-evil.png").exists()


def test_links_outside(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("mine")
    serve_alone(monkeypatch, server, "a.tar", tarred({}, {"link": str(tmp_path)}), None)
    assert "a.tar is damaged or unsafe" in refusal("one", tmp_path / "data", server)
    assert tree(tmp_path) == {"secret": b"mine"}


def test_overwrites_nothing(server: Server, tmp_path: Path) -> None:
    serve_coco(server)
    own = {"annotations/own.json": b"own", "annotations/captions.json": b"{}", "val2017/000000000009.jpg": b"mine"}
    for name, content in own.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    message = refusal("coco-val", tmp_path, server)
    assert f"1 files differ from the set's, first '{tmp_path / 'val2017' / '000000000009.jpg'}'" in message
    assert tree(tmp_path) == own and kept(tmp_path) == ["val2017.zip"]
    (tmp_path / "val2017" / "000000000009.jpg").unlink()
    download("coco-val", tmp_path, server.url)
    assert [name for name, _ in server.asked] == ["val2017.zip", "annotations_trainval2017.zip"], "each once"
    assert len(read_coco(tmp_path).images) == 1 and tree(tmp_path)["annotations/own.json"] == b"own"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, which is a full disk")
def test_full_disk(server: Server, tmp_path: Path) -> None:
    serve_kodak(server)
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download" / "kodim01.png.part").symlink_to("/dev/full")
    message = refusal("kodak", tmp_path, server)
    assert message.startswith(f"cannot write in '{tmp_path}' (No space left on device)")
    assert len(server.asked) == 1, "no retry mends a disk"


def test_folder_that_cannot_be(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in refusal("kodak", tmp_path / "file", server) and server.asked == []


def test_ctrl_c(server: Server, tmp_path: Path) -> None:
    content = serve_kodak(server)["kodim01.png"] = encoded(1, size=(500, 500))
    server.stalls.set()
    program = "import sys; from lic.commands.download import main; sys.exit(main(sys.argv[2:], sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", program, server.url, "kodak", "-o", str(tmp_path)],
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    part = tmp_path / ".download" / "kodim01.png.part"
    pause = threading.Event()
    for _ in range(2000):
        if part.exists() and part.stat().st_size:
            break
        pause.wait(0.01)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert re.fullmatch(r"lic download: interrupted; .*\.download.* the same command goes on from there\n", error)
    num_bytes = part.stat().st_size
    assert 0 < num_bytes < len(content)
    download("kodak", tmp_path, server.url)
    assert server.asked[1] == ("kodim01.png", f"bytes={num_bytes}-")
    assert read_image(tmp_path / "kodak" / "kodim01.png").shape == (1, 3, 500, 500)


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as exit_, reporting_mistakes("lic download"):
        main(list(words))
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("lic download: ")
    return error


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    __main__.main(["download", "imagenet"])
    printed = capsys.readouterr().out
    for words in ("https://image-net.org", "val/CLASS/*.JPEG", "val/*.JPEG", "ILSVRC2012_devkit_t12/"):
        assert words in printed
    assert list(tmp_path.iterdir()) == []
    unknown = "set 'kodac' is unknown; did you mean 'kodak'? Choose from: coco-val, voc2012, kodak, clic2020, imagenet"
    assert unknown in mistake(capsys, "kodac")
    assert "NAME" in mistake(capsys)
    assert "--outptu" in mistake(capsys, "kodak", "--outptu", "x")
