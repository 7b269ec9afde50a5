"""PieAPP (Prashnani et al. 2018): the probability that people find one of two images nearer to the reference.

    reference_images/<split>/ref_1.png        distorted_images/<split>/ref_1/distort_1_....png
    labels/<split>/ref_1_pairwise_labels.csv  reference, A, B, probability that A is preferred (of which some are blank
                                              in train and val), and there in a fifth column the estimated one
    labels/test/ref_1_per_image_score.csv     reference, image, dissimilarity: lower is better, the reference's is 0

Columns are taken by their place: names start with blanks, and differ between splits. A or B may be the reference
itself. Where a fifth column has a value it is used, as the authors trained with it.
"""

from pathlib import Path

from lic.preferences.sets.listing import Entry, Listing, Pair, Published, number, read_table

PUBLISHED = {
    "test": Published(600, 40, pairs=4200),
    "fit": Published(0, 160, pairs=77280),
    "all": Published(600, 200, pairs=81480),
}
_PARTS = {"test": ["test"], "fit": ["train", "val"], "all": ["train", "val", "test"]}


def list_pieapp(folder: Path, split: str) -> Listing:
    """Return PieAPP's labels; see the head of this file.

    Args:
        folder: of the set.
        split: test, fit (train and val) or all.
    """
    root = next((place for place in (folder, *sorted(folder.glob("*/"))) if (place / "labels").is_dir()), None)
    if root is None:
        raise ValueError(f"no folder labels in {folder}; is it PieAPP's folder?")
    pairs: list[Pair] = []
    entries: list[Entry] = []
    for part in _PARTS[split]:
        tables = sorted((root / "labels" / part).glob("ref_*_pairwise_labels.csv"))
        if not tables:
            raise ValueError(f"no ref_*_pairwise_labels.csv in {root / 'labels' / part}")
        for path in tables:
            pairs += _read_pairs(root, part, path)
        for path in sorted((root / "labels" / part).glob("ref_*_per_image_score.csv")):
            entries += _read_scores(root, part, path)
    return Listing(f"pieapp {split}", folder, entries, pairs, "lower", "dissimilarities; shares that prefer A")


def _read_pairs(root: Path, part: str, path: Path) -> list[Pair]:
    header, rows = read_table(path)
    if len(header) < 4:
        raise ValueError(f"{path}: expected four columns or five, found {', '.join(header)}")
    pairs = []
    for line, (reference, first, second, raw, *processed) in rows:
        written = next((text for text in (*processed, raw) if text not in ("", "nan", "NaN")), None)
        if written is None:
            continue
        share = number(written, path, line)
        if not 0 <= share <= 1:
            raise ValueError(f"{path}, line {line}: expected a probability in 0 .. 1, found {share:g}")
        first_image, second_image, shown = (_place(root, part, reference, name) for name in (first, second, reference))
        kind = " / ".join(sorted({_kind(first), _kind(second)}))
        pairs.append(Pair(first_image, second_image, shown, share, kind))
    return pairs


def _read_scores(root: Path, part: str, path: Path) -> list[Entry]:
    _, rows = read_table(path)
    return [
        Entry(_place(root, part, reference, name), _place(root, part, reference, reference), number(score, path, line),
              _kind(name))
        for line, (reference, name, score, *_) in rows
        if name != reference
    ]  # fmt: skip


def _place(root: Path, part: str, reference: str, name: str) -> Path:
    if name.startswith("ref"):
        return root / "reference_images" / part / name
    return root / "distorted_images" / part / Path(reference).stem / name


def _kind(name: str) -> str:
    """Return the type in distort_<number>_<type>_<inter or intra>_<identifier>.png."""
    if name.startswith("ref"):
        return "reference"
    parts = Path(name).stem.split("_")
    end = next((place for place, part in enumerate(parts) if part in ("inter", "intra")), len(parts) - 1)
    return " ".join(parts[2:end]) or "unknown"
