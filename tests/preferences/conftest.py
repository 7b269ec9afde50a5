"""A small PCMP, built once."""

import pytest

from lic.preferences.pcmp.build import main
from lic.preferences.pcmp.files import PCMP, load_pcmp

SETTINGS = ["--num_references", "4", "--pairs_per_reference", "2", "--jobs", "1", "--device", "cpu"]


@pytest.fixture(scope="session")
def small_pcmp(tmp_path_factory: pytest.TempPathFactory) -> PCMP:
    """Four references of two pairs, with their images, by the demo world's voters."""
    folder = tmp_path_factory.mktemp("pcmp") / "small"
    main(["--output", str(folder), *SETTINGS])
    return load_pcmp(folder)
