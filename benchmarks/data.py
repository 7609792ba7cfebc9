"""Training images a second a core: batches from the memory map, and decoding beside them.

    python benchmarks/data.py [--rounds 5] [--out data.json] [--quick]

Beside ours runs a data set as tutorials write it: open a JPEG of about 600x400 pixels, resize it
bicubically to a square, mirror half of them, convert to Lab with scikit-image in float64, scale to
the networks' range. It stores no decoded pixels, so it pays for each image in each epoch what
`raycolor.prepare` pays once. Ours has the same pictures prepared at that size, and again larger,
so that crops are cut and resized; the batch comes as uint8, and Lab, which runs on the training
device in float32, is measured with it and without.

All take turns in one process with one thread, round after round, so that a noisy machine disturbs
all alike. Counted is the processor's time, which other processes on the same cores do not stretch
as they do the clock's. The output is a table, and JSON with hardware and versions.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab
from told import tell
from torch import Tensor

from raycolor import color
from raycolor.config import DataConfig
from raycolor.crops import training_batch
from raycolor.data import PHOTOS, Pictures, SplitName, open_prepared, write_prepared
from raycolor.environment import describe_environment

BATCH = 16
SIZE = 256
STORED = 384
"""Side of the pictures from which crops are resized."""
PHOTO = (600, 400)
"""Width and height of the JPEG files, in pixels."""
DECODING = "decode, resize, Lab"
GATHERED, CROPPED, CONVERTED = "batch", "batch, crops resized", "batch, Lab on this core"


@dataclass(frozen=True, slots=True)
class DecodingDataset:
    """What a tutorial's data set does for each image; files lie in memory, which favours it."""

    files: list[bytes]
    size: int
    rng: np.random.Generator

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(io.BytesIO(self.files[index])) as opened:
            picture = opened.convert("RGB").resize((self.size,) * 2, Image.Resampling.BICUBIC)
        if self.rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        lab = torch.from_numpy(rgb2lab(np.asarray(picture)).astype(np.float32)).permute(2, 0, 1)
        return lab[:1] / 50.0 - 1.0, lab[1:] / 110.0

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return `l_unit` and `ab_unit` of some pictures."""
        l_units, ab_units = zip(*(self[index] for index in indices), strict=True)
        return torch.stack(l_units), torch.stack(ab_units)


def photographs(number: int) -> list[Image.Image]:
    """Return built-in photographs, enlarged to the size that files on the web have."""
    pixels = open_prepared(PHOTOS).pictures("train").pixels
    chosen = (pixels[index % len(pixels)] for index in range(number))
    return [Image.fromarray(one).resize(PHOTO, Image.Resampling.BICUBIC) for one in chosen]


def jpeg(photo: Image.Image) -> bytes:
    """Compress a photograph as cameras do."""
    written = io.BytesIO()
    photo.save(written, "JPEG", quality=90)
    return written.getvalue()


def prepared(photos: list[Image.Image], size: int, folder: Path) -> Pictures:
    """Store photographs as `raycolor.prepare` does, and map them into memory."""
    rows = [
        (f"{index}.jpg", np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC)))
        for index, photo in enumerate(photos)
    ]
    splits: dict[SplitName, list[tuple[str, np.ndarray]]]
    splits = {"train": rows, "validation": rows[:1], "test": rows[:1]}
    folder.mkdir()
    return write_prepared(folder, splits, name="speed", source="enlarged").pictures("train")


def works(number: int, size: int, stored: int, folder: Path) -> dict[str, Callable[[int], object]]:
    """Return each way to make a batch; it takes the number of its call."""
    photos = photographs(number)
    decoding = DecodingDataset([jpeg(photo) for photo in photos], size, np.random.default_rng(0))
    small, large = (prepared(photos, side, folder / str(side)) for side in (size, stored))
    config = DataConfig(size=size, smallest_crop=size / stored)

    def gather(call: int, pictures: Pictures) -> Tensor:
        return training_batch(pictures, config, seed=0, images_seen=call * BATCH, batch_size=BATCH)

    def decode(call: int) -> object:
        return decoding.batch(np.arange(call * BATCH, (call + 1) * BATCH) % number)

    return {
        DECODING: decode,
        GATHERED: lambda call: gather(call, small),
        CROPPED: lambda call: gather(call, large),
        CONVERTED: lambda call: color.rgb_to_unit(gather(call, small)),
    }


def speed(work: Callable[[int], object], seconds: float) -> float:
    """Images a second of a core."""
    work(0)
    started, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - started < seconds:
        calls += 1
        work(calls)
    return BATCH * calls / (time.process_time() - started)


def table(results: list[dict[str, object]]) -> str:
    """Write the results as Markdown."""
    lines = ["| way | images a second a core | times decoding |", "| --- | ---: | ---: |"]
    lines += [
        f"| {row['way']} | {row['images_per_second']:,.0f} | {row['times_decoding']:.1f} |"
        for row in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure all ways in rounds, write medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file; stdout if not given")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    number, size, stored = (BATCH, 64, 96) if flags.quick else (200, SIZE, STORED)
    rounds, seconds = (1, 0.0) if flags.quick else (flags.rounds, flags.seconds)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = works(number, size, stored, Path(folder))
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
            for way, work in ways.items():
                found.setdefault(way, []).append(speed(work, seconds))
    medians = {way: statistics.median(speeds) for way, speeds in found.items()}
    results: list[dict[str, object]] = [
        {
            "way": way,
            "images_per_second": round(median, 1),
            "times_decoding": round(
                statistics.median(a / b for a, b in zip(found[way], found[DECODING], strict=True)),
                2,
            ),
        }
        for way, median in medians.items()
    ]
    environment = describe_environment()
    environment["packages"] |= {name: version(name) for name in ("pillow", "scikit-image")}
    about = {
        "environment": environment,
        "threads": 1,
        "rounds": rounds,
        "quick": flags.quick,
        "size": size,
        "stored": {GATHERED: size, CROPPED: stored, CONVERTED: size},
        "photographs": {"number": number, "width": PHOTO[0], "height": PHOTO[1]},
        "results": results,
    }
    tell(about, table(results), flags.out)


if __name__ == "__main__":
    main()
