"""Make the built-in data set from the folder of photographs.

    python tools/make_photos.py FOLDER

FOLDER holds the photographs and ATTRIBUTION.csv, one row a file with its scene. Each photograph is
resized so that its short side has SIZE pixels and cut into square tiles along its long side. The
split goes by scene, never by tile: two views of one place never lie on both sides.
"""

import csv
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from raycolor.data import PHOTOS, SplitName, write_prepared

SIZE = 96
SHARES: dict[SplitName, float] = {"validation": 0.13, "test": 0.12}


def split_scenes(scenes: list[str]) -> dict[str, SplitName]:
    """Assign each scene a split, in the order of the hash of its name."""
    ordered = sorted(set(scenes), key=lambda scene: hashlib.sha256(scene.encode()).hexdigest())
    splits: dict[str, SplitName] = {}
    start = 0
    for split, share in SHARES.items():
        end = start + round(share * len(ordered))
        splits |= dict.fromkeys(ordered[start:end], split)
        start = end
    return splits | dict.fromkeys(ordered[start:], "train")


def tiles(photo: Image.Image) -> list[np.ndarray]:
    """Cut a photograph into the fewest square tiles that cover it, evenly spread.

    Tiles that would overlap by more than half are left out.
    """
    scale = SIZE / min(photo.size)
    width, height = (max(SIZE, round(side * scale)) for side in photo.size)
    pixels = np.asarray(photo.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=None))
    long = max(width, height)
    number = max(1, round(long / SIZE))
    starts = (
        np.linspace(0, long - SIZE, number).round().astype(int)
        if number > 1
        else [(long - SIZE) // 2]
    )
    if width >= height:
        return [pixels[:, start : start + SIZE].copy() for start in starts]
    return [pixels[start : start + SIZE].copy() for start in starts]


def main() -> None:
    """Write the data set, its attribution and licences into the package."""
    folder = Path(sys.argv[1])
    with (folder / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    split_of = split_scenes([row["scene"] for row in rows])
    splits: dict[SplitName, list[tuple[str, np.ndarray]]] = {
        "train": [],
        "validation": [],
        "test": [],
    }
    for row in sorted(rows, key=lambda row: row["file"]):
        with Image.open(folder / row["file"]) as photo:
            for number, tile in enumerate(tiles(photo.convert("RGB"))):
                splits[split_of[row["scene"]]].append((f"{row['file']}#{number}", tile))
    data = write_prepared(
        PHOTOS,
        splits,
        name="photos",
        source="155 free photographs of 147 scenes; see ATTRIBUTION.csv",
    )
    shutil.copyfile(folder / "ATTRIBUTION.csv", PHOTOS / "ATTRIBUTION.csv")
    shutil.copytree(folder / "LICENSES", PHOTOS / "LICENSES", dirs_exist_ok=True)
    for split, count in data.counts.items():
        scenes = sum(1 for assigned in split_of.values() if assigned == split)
        print(f"{split}: {scenes} scenes, {count} tiles")
    print(f"fingerprint {data.fingerprint}")


if __name__ == "__main__":
    main()
