"""Write folders of images as WebDataset shards, to train from with --data webdataset.

    python -m lic shards ~/photos -o ~/shards
    python -m lic shards ~/photos -o ~/shards --min_side 256 --downscale 2 --jobs 8
    python train.py --data webdataset --data_root '~/shards/{000000..000011}.tar'

Ten million small files are slow to list and to copy; thousands of large ones are not. Beside each shard lie an index
and a list of its images, with SHA-256. Images that cannot be read or are too small are left out, listed and counted.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from lic.cli import parse_config
from lic.data.shard_writer import write_shards
from lic.listing import image_names
from lic.printing import Console
from lic.settings.shards import ShardsConfig


def main(argv: Sequence[str]) -> int:
    """Write shards; return the exit code."""
    config = parse_config(ShardsConfig, argv, "lic shards", str(__doc__))
    names = [name for folder in config.inputs for name in image_names(Path(folder).expanduser())]
    console = Console(soft_wrap=True)
    counts = Counter[str]()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("images", total=len(names))
        for path, rows in write_shards(config, names):
            kept = [row for row in rows if not row.left_out]
            small = sum(row.left_out.endswith(" px") for row in rows)
            counts += Counter(shards=1, images=len(kept), small=small, bad=len(rows) - len(kept) - small,
                              bytes=sum(row.num_bytes for row in kept))  # fmt: skip
            console.print(f"{path}  {len(kept)} images")
            progress.advance(bar, len(rows))
    console.print(f"{counts['shards']} shards  {counts['images']} images  {counts['bytes'] / 1e6:.1f} MB")
    if counts["small"] + counts["bad"]:
        left_out = f"{counts['small']} too small, {counts['bad']} that cannot be read"
        console.print(f"left out: {left_out}; the .csv files say which")
    return 0
