"""What a training crops, and what of it is held out to judge by."""

from pathlib import Path

from lic.data.imagenet import read_imagenet
from lic.data.source import Files, Source, split
from lic.demo.scenes import scenes_root
from lic.listing import image_names
from lic.printing import Console
from lic.settings.names import DataName

HeldOut = tuple[Path, list[Path]]
"""A folder and images in it."""


def training_images(data: DataName, data_root: str | None, console: Console) -> tuple[Source, HeldOut | None]:
    """Return the images to crop, and those held out; say where they come from.

    Raises:
        ValueError: no images are there.
    """
    match data:
        case "scenes":
            console.print("training on the embedded demo scenes (synthetic; not COCO, not photographs)")
            return Files(read_imagenet(scenes_root(), "train").images), None
        case "folder":
            root = Path(str(data_root)).expanduser()
            names = image_names(root)
            chosen = split(len(names))
            held_out = root, [Path(names[i]) for i in chosen]
            source: Source = Files([name for i, name in enumerate(names) if i not in chosen] or names)
        case "webdataset":
            from lic.data.shards import held_out_of, open_shards, without  # webdataset takes seconds to import

            shards = open_shards(str(data_root), console)
            held_out = held_out_of(shards)
            source = without(shards, split(shards.groups[0]))
    console.print(f"training on {len(source)} images of {data_root}, {len(held_out[1])} held out", soft_wrap=True)
    return source, held_out
