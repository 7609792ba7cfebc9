"""Small archives made as those of the known data sets are."""

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.unit.preparation.making import encoded, photo

SIDE = 32


def tar(path: Path, contents: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # a mode of text
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def coco(path: Path, number: int, *, side: int = 48) -> Path:
    """An archive as `coco_sample.tgz`: photographs in one folder, annotations in another."""
    contents = {"coco_sample/annotations/instances_sample.json": b"{}"}
    for i in range(number):
        name = f"coco_sample/train_sample/{(i * 7919) % 581929:012}.jpg"
        contents[name] = encoded(photo(i, side + 8, side), "JPEG", quality=95)
    return tar(path, contents)


class Python2:
    """Writes plain values and arrays of bytes as cPickle of Python 2 did, with protocol 2.

    Of the real batches: texts are SHORT_BINSTRING, each is kept with BINPUT, an array is a call of
    `_reconstruct` with its content as BINSTRING.
    """

    def __init__(self) -> None:
        self._kept = 0

    def pickle(self, value: object) -> bytes:
        return b"\x80\x02" + self._write(value) + b"."

    def _put(self) -> bytes:
        self._kept += 1
        small = self._kept < 256
        return b"q" + bytes([self._kept]) if small else b"r" + struct.pack("<I", self._kept)

    def _text(self, value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value + self._put()
        return b"T" + struct.pack("<i", len(value)) + value

    def _write(self, value: object) -> bytes:
        match value:
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if 0 <= value < 256:
                return b"K" + bytes([value])
            case int() if 0 <= value < 65536:
                return b"M" + struct.pack("<H", value)
            case bytes():
                return self._text(value)
            case list():
                items = b"".join(map(self._write, value))
                return b"]" + self._put() + b"(" + items + b"e"
            case dict():
                items = b"".join(self._write(one) for pair in value.items() for one in pair)
                return b"}" + self._put() + b"(" + items + b"u"
            case np.ndarray():
                return self._array(value)
        raise AssertionError(value)

    def _array(self, value: np.ndarray) -> bytes:
        shape = b"".join(map(self._write, value.shape))
        return b"".join(
            [
                b"cnumpy.core.multiarray\n_reconstruct\n" + self._put(),
                b"cnumpy\nndarray\n" + self._put(),
                b"K\x00\x85" + self._put() + self._text(b"b") + b"\x87" + self._put(),
                b"R" + self._put() + b"(K\x01" + shape + b"\x86" + self._put(),
                b"cnumpy\ndtype\n" + self._put() + self._text(b"u1") + b"K\x00K\x01\x87",
                self._put() + b"R" + self._put() + b"(K\x03" + self._text(b"|"),
                b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + self._put() + b"b\x89",
                b"T" + struct.pack("<i", value.nbytes) + value.tobytes() + b"t" + self._put(),
                b"b",
            ]
        )


def picture(number: int) -> np.ndarray:
    return np.asarray(photo(number, SIDE, SIDE))


def batch(label: bytes, numbers: Sequence[int]) -> bytes:
    """A pickled batch of pictures."""
    planes = [picture(number).transpose(2, 0, 1).reshape(-1) for number in numbers]
    return Python2().pickle(
        {
            b"batch_label": label,
            b"labels": [number % 10 for number in numbers],
            b"data": np.stack(planes),
            b"filenames": [b"leptodactylus_s_%06d.png" % number for number in numbers],
        }
    )


def cifar(path: Path, number: int, *, batches: int = 5) -> Path:
    """An archive as `cifar-10-python.tar.gz`, with so many pictures in each batch."""
    top, contents = "cifar-10-batches-py", {}
    contents[f"{top}/batches.meta"] = Python2().pickle({b"label_names": [b"airplane", b"frog"]})
    contents[f"{top}/readme.html"] = b"<p>CIFAR-10"
    for i in range(batches):
        numbers = range(i * number, (i + 1) * number)
        label = b"training batch %d of %d" % (i + 1, batches)
        contents[f"{top}/data_batch_{i + 1}"] = batch(label, numbers)
    last = range(batches * number, (batches + 1) * number)
    contents[f"{top}/test_batch"] = batch(b"testing batch 1 of 1", last)
    return tar(path, contents)
