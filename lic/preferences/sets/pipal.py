"""PIPAL's training part (Gu et al. 2020), whose labels are public.

    Train_Label/A0001.txt     lines "A0001_00_00.bmp,1520.0648": Elo scores, 916.7 .. 1836.0, higher is better
    Train_Ref/A0001.bmp       Train_Dist/ or Dist_Imgs/ or Distortion_1/ .. Distortion_4/: A0001_00_00.bmp

The label files do not name the forty kinds; the first number after the image's is their group (traditional
distortions, super-resolution, denoising and mixtures of them), which is the kind here.
"""

from pathlib import Path

from lic.preferences.sets.listing import Entry, Files, Listing, Published, number, read_lines

PIPAL = Published(23200, 200, 7, 916.7, 1836.0)

_FOLDERS = ("Train_Dist", "Dist_Imgs", *(f"Distortion_{part}" for part in range(1, 5)))


def list_pipal(folder: Path) -> Listing:
    """Return PIPAL's labels; see the head of this file."""
    files = Files(folder)
    labels = sorted(path for path in folder.rglob("*.txt") if path.parent.name.lower() == "train_label")
    if not labels:
        raise ValueError(f"no Train_Label/*.txt in {folder} or below; PIPAL's labels of validation and test are hidden")
    entries = []
    for path in labels:
        for line, (name, score) in read_lines(path, ",", 2):
            image, group, *_ = [*name.split("_"), ""]
            picture, reference = files.place(name, _FOLDERS), files.place(f"{image}.bmp", ["Train_Ref"])
            entries.append(Entry(picture, reference, number(score, path, line), f"group {group}"))
    return Listing("pipal", folder, entries, [], "higher", "Elo scores")
