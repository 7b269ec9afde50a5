"""The report in a real browser: Debian's Chromium, headless, driven by Playwright, with every request watched."""

import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from lic.commands.report import main
from lic.curves.files import save_results

NASTY = "<b>codec</b></script><script>alert(1)</script>&{title}"
BPP, PSNR_DB = [0.1, 0.2, 0.4, 0.7], [24, 27, 30, 32]


@pytest.fixture(scope="module")
def report(make_results: Any, save_samples: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two datasets: three codecs with networks and samples, and one without either."""
    folder = tmp_path_factory.mktemp("report")
    results = [
        make_results(BPP, PSNR_DB, networks=["yolox", "ssd"]),
        make_results([0.8 * bpp for bpp in BPP], PSNR_DB, distortion="mlclipsim", networks=["yolox", "ssd"]),
        make_results([2 * bpp for bpp in BPP], PSNR_DB, codec="jpeg", distortion=None, is_learned=False),
    ]
    save_samples(folder, results)
    other = folder / "other"
    other.mkdir()
    nasty = make_results(BPP, PSNR_DB, codec=NASTY, dataset="kodak <24>")
    first = replace(nasty.points[0], qualities={**nasty.points[0].qualities, "ms-ssim": math.nan})
    nasty = replace(nasty, points=(first, *nasty.points[1:]))
    paths = [folder / "mse.json", folder / "mlclipsim.json", folder / "jpeg.json", other / "nasty.json"]
    for each, path in zip([*results, nasty], paths, strict=True):
        save_results(each, path)
    assert main([*map(str, paths), "-o", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install -e '.[test]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


class Watched:
    """A page of the report, and what it must not do."""

    def __init__(self, browser: Any, report: Path, width: int) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=width < 600)
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(report.as_uri())

    def _route(self, route: Any) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            self.requests.append(route.request.url)
            route.abort()


@pytest.fixture
def watched(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    watched = Watched(browser, report, getattr(request, "param", 1280))
    yield watched
    watched.context.close()
    assert not watched.errors and not watched.requests


def _texts(locator: Any) -> list[str]:
    return [text.strip() for text in locator.all_inner_texts()]


def test_curves_are_drawn_where_the_numbers_say(watched: Watched) -> None:
    section = watched.page.locator("#dataset-0")
    panels = section.locator(".panels figure")
    assert _texts(panels.locator("figcaption")) == [
        "Classification, top-1 (%)", "Detection, box AP (%)", "PSNR (dB)", "MS-SSIM", "ML-CLIPSim",
    ]  # fmt: skip
    psnr = section.locator("figure[data-quality=psnr]")
    assert psnr.locator(".curve").count() == 3 and psnr.locator(".ceiling").count() == 0
    circles = psnr.locator(".curve").nth(1).locator("circle")  # the conventional one is drawn first, below
    x, y = ([float(circle.get_attribute(name)) for circle in circles.all()] for name in ("cx", "cy"))
    steps = [math.log(high / low) for low, high in itertools.pairwise(BPP)]
    assert [(b - a) / (x[-1] - x[0]) for a, b in itertools.pairwise(x)] == pytest.approx(
        [step / sum(steps) for step in steps]
    )
    assert [(b - a) / (y[-1] - y[0]) for a, b in itertools.pairwise(y)] == pytest.approx([3 / 8, 3 / 8, 2 / 8])
    detection = section.locator("figure[data-quality=coco-det]")
    assert detection.locator(".ceiling").count() == 1
    assert detection.locator(".curve polygon").count() == 2  # those with intervals
    assert detection.locator(".curve circle").count() == 4 * 3 + 2 * 4 * 2  # means, and two networks of two codecs


def test_legend_networks_and_hover(watched: Watched) -> None:
    section = watched.page.locator("#dataset-0")
    detection = section.locator("figure[data-quality=coco-det]")
    section.locator(".legend button", has_text="jpeg").click()
    assert detection.locator(".curve circle").count() == 4 * 2 + 2 * 4 * 2
    assert _texts(detection.locator(".networks button")) == ["mean", "ssd", "yolox"]
    detection.locator(".networks button", has_text="ssd").click()
    detection.locator(".networks button", has_text="mean").click()
    assert detection.locator(".curve circle").count() == 4 * 2
    psnr = section.locator("figure[data-quality=psnr]")
    marker = psnr.locator(".curve").nth(0).locator("circle").nth(2)
    marker.hover()
    assert psnr.locator(".tooltip").inner_text().split("\n") == [
        "mbt2018-mean / mse", "λ 0.03, 0.400 bpp", "PSNR (dB): 30.00",
    ]  # fmt: skip
    tooltip, circle = psnr.locator(".tooltip").bounding_box(), marker.bounding_box()
    assert 0 < circle["y"] - (tooltip["y"] + tooltip["height"]) < 20
    section.locator("h2").hover()
    assert not psnr.locator(".tooltip").is_visible()
    section.locator(".legend button", has_text="jpeg").click()
    assert psnr.locator(".curve").count() == 3


def test_sorting(watched: Watched) -> None:
    table = watched.page.locator("#dataset-0 table").first
    bpp = table.locator("tbody td:nth-child(3)")
    before = _texts(bpp)
    table.locator("th button", has_text="bpp").click()
    assert _texts(bpp) == sorted(before, key=float) and table.locator("th[aria-sort=ascending]").count() == 1
    table.locator("th button", has_text="bpp").click()
    assert _texts(bpp) == sorted(before, key=float, reverse=True)
    table.locator("th button", has_text="codec").click()
    names = _texts(table.locator("tbody td:nth-child(1)"))
    assert names == sorted(names) and len(names) == 12
    assert _texts(table.locator("tfoot td"))[0] == "uncompressed"
    unmeasured = watched.page.locator("#dataset-1 table").first
    for _ in range(2):
        unmeasured.locator("th button", has_text="MS-SSIM").click()
        assert _texts(unmeasured.locator("tbody td:nth-child(5)"))[-1] == "–"  # noqa: RUF001


def test_viewer(watched: Watched) -> None:
    viewer = watched.page.locator("#dataset-0 .viewer")
    assert watched.page.locator("#dataset-1 .viewer").count() == 0
    captions, sides = viewer.locator(".captions > div"), viewer.locator(".sides .side")
    assert _texts(captions)[0] == "original\ntabby, 1, 2"
    assert sides.nth(1).locator("rect").count() == 1 and sides.nth(1).locator("text").text_content() == "<i>cat 0.90"
    loaded = "images => images.every(image => image.complete && image.naturalWidth === 64)"
    assert viewer.locator("img").evaluate_all(loaded)

    for place, bpp in (("0", 0.8 * 0.15), ("200", 0.8 * 1.05)):  # the cheapest and the dearest of its points
        viewer.locator("input.rate").fill(place)
        viewer.locator("select").nth(2).select_option("mbt2018-mean / mlclipsim")
        assert f"{bpp:.3f} bpp" in _texts(captions)[1]
    viewer.locator("input.rate").fill("100")
    assert viewer.locator("output").inner_text() == f"{math.sqrt(0.12 * 2.1):.2f} bpp"
    shown = dict(text.split("\n")[:2] for text in _texts(viewer.locator(".strip button"))[1:])
    assert "0.600 bpp" in shown["mbt2018-mean / mse"] and "0.600 bpp" in shown["jpeg"]

    viewer.locator("input.wipe").fill("25")
    assert "25%" in viewer.locator(".sides").get_attribute("style")
    viewer.locator(".strip button", has_text="jpeg").click()
    assert _texts(captions)[1].startswith("jpeg")
    masks = viewer.locator("label", has_text="masks: voc-seg").locator("input")
    assert sides.nth(1).locator("img").count() == 2
    masks.uncheck()
    assert sides.nth(1).locator("img").count() == 1

    watched.page.keyboard.down("f")
    assert viewer.locator(".sides.second").count() == 1
    viewer.locator(".sides.first").wait_for()
    watched.page.keyboard.up("f")
    assert viewer.locator(".sides.first, .sides.second").count() == 0


@pytest.mark.parametrize("watched", [360], indirect=True)
def test_a_phone_shows_it_without_scrolling_sideways(watched: Watched) -> None:
    watched.page.locator("details").first.click()
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 360
    for panel in watched.page.locator(".panels svg").all():
        assert panel.bounding_box()["x"] + panel.bounding_box()["width"] <= 360
    psnr = watched.page.locator("#dataset-0 figure[data-quality=psnr]")
    psnr.locator("circle").first.tap()
    assert psnr.locator(".tooltip").is_visible()
    assert watched.page.locator("table").first.evaluate("table => table.scrollWidth > table.parentElement.clientWidth")


def test_print_unfolds_everything_and_hides_controls(watched: Watched) -> None:
    watched.page.evaluate("""addEventListener("beforeprint", () => {
        globalThis.unfolded = document.querySelectorAll("details[open]").length;
    })""")
    assert watched.page.pdf().startswith(b"%PDF")
    assert watched.page.evaluate("unfolded") == 4
    assert watched.page.locator("details[open]").count() == 0  # as it was
    watched.page.emulate_media(media="print")
    assert not watched.page.locator(".settings, .networks, .wipe").first.is_visible()
    assert watched.page.locator(".panels svg").first.is_visible()


def test_provenance_and_escaping(watched: Watched, report: Path) -> None:
    details = watched.page.locator("#dataset-1 details")
    details.locator("summary").click()
    text = details.inner_text()
    assert NASTY in text and "python eval.py --task coco-det" in text and '"jpeg"' in text and "torch: 2.11.0" in text
    assert watched.page.locator("#dataset-1 h2").inner_text() == "kodak <24>"
    assert watched.page.locator("section b", has_text="codec").count() == 0
    assert "Synthetic" in watched.page.locator("#dataset-0").inner_text()
    assert "Synthetic" not in watched.page.locator("#dataset-1").inner_text()
    html = report.read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)|url\(|https?://(?!www\.w3\.org/2000/svg)", html)
    assert len(re.findall("<script", html)) == 3 and "alert(1)" in unescape(html)


def test_curves_of_one_name_are_told_apart(make_results: Any, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        save_results(make_results(BPP, PSNR_DB), tmp_path / folder / "mse.json")
    page = tmp_path / "report.html"
    main([str(tmp_path / folder / "mse.json") for folder in ("one", "two")] + ["-o", str(page)])
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(encoding="utf-8"))
    names = [curve["name"] for curve in json.loads(data)["curves"]]
    assert names == ["mbt2018-mean (one/mse) / mse", "mbt2018-mean (two/mse) / mse"]


def test_seeds_are_one_curve(make_results: Any, save_samples: Any, tmp_path: Path) -> None:
    results = [replace(make_results(BPP, PSNR_DB, networks=["a", "b"]), seed=seed) for seed in (0, 1)]
    for seed, factor in enumerate((0.5, 0.6)):
        own = make_results([factor * bpp for bpp in BPP], PSNR_DB, distortion="mlclipsim")
        results.append(replace(own, label="pure", seed=seed))
    save_samples(tmp_path, results[::2], stems=["a"])
    (tmp_path / "samples" / "mbt2018-mean-pure").rename(tmp_path / "samples" / "mbt2018-mean-pure-seed0")
    paths = [tmp_path / f"{each.curve.stem_with_seed}.json" for each in results]
    for each, path in zip(results, paths, strict=True):
        save_results(each, path)
    page = tmp_path / "report.html"
    assert main([*map(str, paths), "-o", str(page), "--reference", "mse"]) == 0
    html = page.read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    data = json.loads(text)
    assert [curve["name"] for curve in data["curves"]] == ["mbt2018-mean / mse", "mbt2018-mean / pure"]
    assert data["curves"][1]["points"][0]["bpp"] == pytest.approx(0.055)
    assert [view["source"] for view in data["samples"][0]["views"]] == [
        "original", *["mbt2018-mean / mse"] * 4, *["mbt2018-mean / pure"] * 4,
    ]  # fmt: skip
    assert "&minus;45.0 % (&minus;50.0 to &minus;40.0)" in html and 'data-order="-45"' in html
    assert "Means over seeds: mbt2018-mean / mse of seeds 0, 1; mbt2018-mean / pure of seeds 0, 1;" in html
    assert html.count("<summary>mbt2018-mean / pure, seed") == 2


def test_shipped_results_are_a_small_page(tmp_path: Path) -> None:
    results = sorted((Path(__file__).parents[2] / "results" / "demo").glob("*.json"))
    page = tmp_path / "report.html"
    assert main([*map(str, results), "-o", str(page)]) == 0
    assert page.stat().st_size < 200_000 and "demo scenes (embedded, synthetic)" in page.read_text(encoding="utf-8")


def test_mistakes_are_one_line(make_results: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other, empty = (str(tmp_path / f"{name}.json") for name in ("one", "other", "empty"))
    save_results(make_results(BPP, PSNR_DB), one)
    save_results(make_results(BPP, PSNR_DB, dataset="kodak"), other)
    save_results(make_results([], [], dataset="nothing"), empty)
    for arguments, message in (
        ([], "required: results"),
        ([str(tmp_path / "none.json")], "does not exist"),
        ([one, "--reference", "jpg"], "neither a file nor a codec here"),
        ([one, "--reference", other], "was measured on 'kodak', not on 'demo-scenes (embedded)'"),
        ([empty], "expected at least one operating point on 'nothing'"),
        ([one, "--at_bpp", "-1"], "came -1"),
        ([one, "-o", str(tmp_path / "nowhere" / "report.html")], "cannot write"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capsys.readouterr()
        assert stopped.value.code == 2
        assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from lic.commands.report import main
try:
    main(["--help"])
finally:
    assert not {"torch", "matplotlib", "scipy", "numpy"} & set(sys.modules), "heavy"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--reference" in done.stdout and not done.stderr
