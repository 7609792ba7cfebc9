import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycolor.errors import DataError
from raycolor.preparation import archives, tars
from raycolor.preparation.skips import Skip
from raycolor.preparation.sources import open_source
from raycolor.preparation.tars import Tar

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


def packed(contents: Mapping[str, bytes], *others: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for other in others:
            archive.addfile(other)
        for name, content in contents.items():
            archive.addfile(member(name, len(content)), io.BytesIO(content))
    return file.getvalue()


def pack(path: Path, contents: Mapping[str, bytes], *others: tarfile.TarInfo) -> Tar:
    path.write_bytes(packed(contents, *others))
    return Tar(path)


def read_all(source: Tar) -> dict[str, object]:
    listing = source.listing()
    names = {own_name: name for name, own_name in listing.candidates.items()}
    return {names[own]: contents for own, contents in source.read(list(names))}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_members_are_read_in_the_order_of_the_archive(tmp_path: Path, compression: str) -> None:
    contents = {"./b.jpg": b"B" * 1000, "a/c.png": b"C", "a/notes.txt": b"N", "d.jpg": b""}
    path = tmp_path / "x.bin"
    path.write_bytes(COMPRESSIONS[compression](packed(contents)))
    source = open_source(path)
    assert isinstance(source, Tar)
    assert list(source.listing().candidates) == ["a/c.png", "b.jpg", "d.jpg"]
    assert list(read_all(source).items()) == [
        ("b.jpg", b"B" * 1000),
        ("a/c.png", b"C"),
        ("d.jpg", b""),
    ]


def test_long_names_are_read(tmp_path: Path) -> None:
    name = f"{'long/' * 60}\u00e9.jpg"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as archive:
            archive.addfile(member(name, 1), io.BytesIO(b"A"))
            archive.addfile(member("b.jpg", 1), io.BytesIO(b"B"))
        assert read_all(Tar(tmp_path / "x.tar")) == {name: b"A", "b.jpg": b"B"}


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    listing = pack(tmp_path / "x.tar", {name: b"A", "good.jpg": b"G"}).listing()
    assert list(listing.candidates) == ["good.jpg"]
    assert listing.skipped == {name: Skip("unsafe path", "leads out of the archive")}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.FIFOTYPE, "no regular file"),
        (tarfile.CHRTYPE, "no regular file"),
        (tarfile.BLKTYPE, "no regular file"),
    ],
)
def test_links_and_devices_are_left_out(tmp_path: Path, kind: bytes, reason: str) -> None:
    bad = member("a.jpg", kind=kind)
    bad.linkname = "/etc/passwd"
    source = pack(tmp_path / "x.tar", {"good.jpg": b"G"}, bad)
    assert source.listing().skipped["a.jpg"].reason == reason
    assert read_all(source) == {"good.jpg": b"G"}


def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for content in (b"old", b"new"):
            archive.addfile(member("a.jpg", 3), io.BytesIO(content))
    (tmp_path / "x.tar").write_bytes(file.getvalue())
    assert read_all(Tar(tmp_path / "x.tar")) == {"a.jpg": b"new"}


def test_member_too_large_for_memory_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 1 << 20)
    contents = {"a.jpg": bytes(1 << 20), "b.jpg": bytes((1 << 20) + 1), "c.jpg": b"C"}
    source = pack(tmp_path / "x.tar", contents)
    assert source.listing().skipped["b.jpg"].reason == "too large"
    assert list(read_all(source)) == ["a.jpg", "c.jpg"]


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz"])
def test_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 1 << 20)
    path = tmp_path / "x.tar.gz"
    # Not even a picture: it has to be unpacked to get past it.
    path.write_bytes(COMPRESSIONS[compression](packed({"a.txt": bytes(8 << 20)})))
    with pytest.raises(DataError, match=r"x\.tar\.gz: unpacks to .* times its own size; at most"):
        Tar(path).listing()


def test_header_that_would_fill_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "MOST_MEMBER_BYTES", 1 << 20)
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        block = member("x", 8 << 20, kind).tobuf(tarfile.GNU_FORMAT)
        (tmp_path / "x.tar").write_bytes(block + bytes(8 << 20) + packed({"a.jpg": b"A"}))
        with pytest.raises(DataError, match="a part of 8388608 bytes"):
            Tar(tmp_path / "x.tar").listing()


def test_negative_size_does_not_go_round_for_ever(tmp_path: Path) -> None:
    good = member("a.jpg", 4).tobuf(tarfile.GNU_FORMAT)
    bad = bytearray(member("b.jpg").tobuf(tarfile.GNU_FORMAT))
    bad[124:136] = b"\xff" * 10 + (-1024).to_bytes(2, "big", signed=True)
    bad[148:156] = b" " * 8
    bad[148:156] = b"%06o\0 " % sum(bad)
    (tmp_path / "x.tar").write_bytes(good + b"AAAA".ljust(512, b"\0") + bad + bytes(10240))
    with pytest.raises(DataError, match=r"x\.tar: a damaged tar archive"):
        Tar(tmp_path / "x.tar").listing()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kept", [0.3, 0.46, 0.7])
def test_archive_that_is_cut_off_is_named(tmp_path: Path, compression: str, kept: float) -> None:
    noise = bytes(range(256)) * 16
    whole = COMPRESSIONS[compression](packed({f"{i}.jpg": noise[i:] for i in range(9)}))
    path = tmp_path / "x.tar"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=r"x\.tar: .*(damaged|no archive)"):
        open_source(path).listing()


def test_damage_between_members_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    contents = bytearray(packed({"a.jpg": b"A", "b.jpg": b"B", "c.jpg": b"C"}))
    contents[1024 + 20] ^= 1
    path.write_bytes(contents)
    with pytest.raises(DataError, match=r"x\.tar: a tar archive that is damaged or cut off"):
        Tar(path).listing()


def test_end_without_zeros_is_an_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(packed({"a.jpg": b"A"})[:1024])
    assert read_all(Tar(path)) == {"a.jpg": b"A"}


def test_compressed_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.tif.gz").write_bytes(gzip.compress(b"II*\0" + bytes(2000)))
    with pytest.raises(DataError, match=r"scan\.tif\.gz: no folder and no archive"):
        open_source(tmp_path / "scan.tif.gz")


def test_archive_that_ends_with_a_zip_is_still_a_tar(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("inner.jpg", b"I")
    pack(tmp_path / "x.tar", {"a.jpg": b"A", "more.zip": inner.getvalue()})
    assert zipfile.is_zipfile(tmp_path / "x.tar")
    assert isinstance(open_source(tmp_path / "x.tar"), Tar)


def test_change_between_list_and_pictures_is_noticed(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.tar", {"a.jpg": b"A", "b.jpg": b"B"})
    wanted = list(source.listing().candidates.values())
    pack(tmp_path / "x.tar", {"a.jpg": b"A"})
    with pytest.raises(DataError, match=r"x\.tar: was changed while it was read"):
        list(source.read(wanted))


@given(where=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_no_damage_makes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, where: float, flipped: int
) -> None:
    contents = bytearray(packed({"a/b.jpg": b"ABCD" * 9, "c.jpg": b"EFGH" * 9})[:2560])
    contents[int(where * len(contents))] ^= flipped
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    path.write_bytes(contents)
    with suppress(DataError):
        assert all(isinstance(contents, bytes) for contents in read_all(Tar(path)).values())
