"""Tables: the numbers of the results, within 100 columns."""

import io
from typing import Any

from lic.curves.table import markdown_table, print_bd_rates, print_drops, print_results
from lic.printing import Console


def _printed(show: Any, *arguments: object) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(*arguments, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_row_for_each_point_and_the_ceiling(make_results: Any) -> None:
    learned = make_results([0.1, 0.2], [24, 27], codec="bmshj2018-hyperprior", distortion="mlclipsim")
    jpeg = make_results([0.35], [25.5], codec="jpeg", distortion=None, is_learned=False)
    rows = [line.split() for line in _printed(print_results, [learned, jpeg]).splitlines() if line.strip()]
    assert rows[0] == ["demo-scenes", "(embedded):", "task", "scores", "in", "percent"]
    assert rows[1] == ["codec", "setting", "bpp", "PSNR", "MS-SSIM", "ML-CLIPSim", "top-1", "box", "AP"]
    first = [
        "bmshj2018-hyperprior",
        "/",
        "mlclipsim",
        "λ",
        "0.01",
        "0.100",
        "24.00",
        "0.4800",
        "0.6000",
        "53.3",
        "24.0",
    ]
    assert rows[3] == first
    assert rows[4] == ["λ", "0.02", "0.200", "27.00", "0.5400", "0.6750", "60.0", "27.0"]
    assert rows[5] == ["jpeg", "q", "10", "0.350", "25.50", "0.5100", "0.6375", "56.7", "25.5"]
    assert rows[6:] == [["uncompressed", "95.0", "60.0"]]


def test_markdown(make_results: Any) -> None:
    assert markdown_table([make_results([0.1], [24])]).splitlines() == [
        "| codec | setting | bpp | PSNR | MS-SSIM | ML-CLIPSim | top-1 | box AP |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| mbt2018-mean / mse | λ 0.01 | 0.100 | 24.00 | 0.4800 | 0.6000 | 53.3 | 24.0 |",
        "| uncompressed |  |  |  |  |  | 95.0 | 60.0 |",
    ]


def test_bd_rates_with_notes(make_results: Any) -> None:
    bpp, psnr_db = [0.1, 0.2, 0.4, 0.7], [24, 27, 30, 32]
    reference = make_results(bpp, psnr_db)
    cheaper = make_results([0.9 * value for value in bpp], psnr_db, distortion="mlclipsim")
    single = make_results([0.3], [28], codec="[/single]", distortion=None)
    text = _printed(print_bd_rates, reference, [reference, cheaper, single])
    assert "BD-rate against mbt2018-mean / mse" in text
    assert text.count("-10.0 %") == 5
    assert text.count("- [1]") == 10
    assert "[1] [/single] has 1 of the 3 points that are needed" in text


def test_tables_fit_in_100_columns(make_results: Any) -> None:
    names = {"codec": "a-codec-with-a-remarkably-long-name-2018", "distortion": "mlclipsim"}
    results = [make_results([0.1, 0.2, 0.4], [24, 27, 30], **names) for _ in range(2)]
    texts = (
        _printed(show, *given) for show, *given in ((print_results, results), (print_bd_rates, results[0], results))
    )
    for text in texts:
        assert max(map(len, text.splitlines())) <= 100
        assert "…" not in text


def test_bd_ranges_drops_and_networks(make_results: Any) -> None:
    bpp, psnr_db = [0.1, 0.2, 0.4, 0.7], [24, 27, 30, 32]
    reference = make_results(bpp, psnr_db, networks=["a", "b"])
    better = make_results(bpp, [value + 1 for value in psnr_db], distortion="mlclipsim", networks=["a", "b"])
    lines = _printed(print_bd_rates, reference, [reference, better]).splitlines()
    rows = {line[:13].strip(): line.split() for line in lines}
    assert rows["PSNR"][-8:] == ["25.00", "to", "32.00", "+1.00", "dB", "0.100", "to", "0.700"]
    assert rows["box AP"][-8:] == ["25.0", "to", "32.0", "+1.0", "pp", "0.100", "to", "0.700"]
    assert rows["box AP (b)"][-8:-5] == ["30.0", "to", "37.0"]
    text = _printed(print_drops, [reference, better], None).splitlines()
    assert text[2].split()[:8] == ["task", "codec", "0.1", "bpp", "0.25", "bpp", "0.5", "bpp"]
    assert text[4].split()[-3:-1] == ["41.7", "32.9"]  # top-1: 95 - 24 / 0.45, 95 - (27 + 3 log2 1.25) / 0.45
    assert _printed(print_drops, [reference], [0.2, 5]).splitlines()[-2].split()[-1] == "33.0"
