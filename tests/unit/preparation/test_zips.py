import stat
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raycolor.errors import DataError
from raycolor.preparation import archives
from raycolor.preparation.skips import Skip
from raycolor.preparation.sources import open_source
from raycolor.preparation.zips import Zip


def pack(path: Path, contents: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Zip:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return Zip(path)


def pack_member(path: Path, member: zipfile.ZipInfo, content: bytes = b"x") -> Zip:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return Zip(path)


def read_all(source: Zip) -> dict[str, object]:
    listing = source.listing()
    names = {own_name: name for name, own_name in listing.candidates.items()}
    return {names[own]: contents for own, contents in source.read(list(names))}


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
def test_members_are_read(tmp_path: Path, compression: int) -> None:
    contents = {"b.jpg": b"B" * 1000, "a/c.png": b"C", "a/notes.txt": b"N"}
    source = pack(tmp_path / "x.zip", contents, compression)
    assert read_all(source) == {"b.jpg": b"B" * 1000, "a/c.png": b"C"}
    assert source.listing().num_passed_over == 1


def test_is_told_by_its_contents(tmp_path: Path) -> None:
    pack(tmp_path / "x.zip", {"a.jpg": b"A"})
    (tmp_path / "x.zip").rename(tmp_path / "photos.bin")
    assert isinstance(open_source(tmp_path / "photos.bin"), Zip)


def test_program_that_unpacks_itself_is_read(tmp_path: Path) -> None:
    pack(tmp_path / "x.zip", {"a.jpg": b"A"})
    program = tmp_path / "x.exe"
    program.write_bytes(b"MZ" + bytes(500) + (tmp_path / "x.zip").read_bytes())
    source = open_source(program)
    assert isinstance(source, Zip)
    assert read_all(source) == {"a.jpg": b"A"}


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "C:/a.jpg", "c:a.jpg", "//host/a.jpg"]
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    listing = pack(tmp_path / "x.zip", {name: b"A", "good.jpg": b"G"}).listing()
    assert list(listing.candidates) == ["good.jpg"]
    assert listing.skipped == {name: Skip("unsafe path", "leads out of the archive")}


def test_separators_of_windows_are_understood(tmp_path: Path) -> None:
    for name, expected in {r"train\a.jpg": "train/a.jpg", r"..\a.jpg": None}.items():
        member = zipfile.ZipInfo(name)
        member.create_system = 0
        listing = pack_member(tmp_path / "x.zip", member).listing()
        assert list(listing.candidates) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK | 0o777, "a link"),
        (stat.S_IFIFO | 0o644, "no regular file"),
        (stat.S_IFBLK | 0o644, "no regular file"),
    ],
)
def test_links_and_devices_are_left_out(tmp_path: Path, mode: int, reason: str) -> None:
    member = zipfile.ZipInfo("a.jpg")
    member.create_system = 3
    member.external_attr = mode << 16
    listing = pack_member(tmp_path / "x.zip", member, b"/etc/passwd").listing()
    assert listing.candidates == {}
    assert listing.skipped["a.jpg"].reason == reason


def test_encrypted_members_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"a.jpg": b"A", "b.jpg": b"B"})
    contents = bytearray(path.read_bytes())
    contents[contents.index(b"PK\3\4") + 6] |= 1
    contents[contents.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(contents)
    assert Zip(path).listing().skipped["a.jpg"].reason == "encrypted"
    assert read_all(Zip(path)) == {"b.jpg": b"B"}


def test_damaged_member_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"a.jpg": b"AAAA" * 50, "b.jpg": b"BBBB" * 50}, zipfile.ZIP_STORED)
    contents = bytearray(path.read_bytes())
    contents[contents.index(b"AAAA")] ^= 1
    path.write_bytes(contents)
    read = read_all(Zip(path))
    assert read["b.jpg"] == b"BBBB" * 50
    assert isinstance(read["a.jpg"], Skip)
    assert read["a.jpg"].reason == "damaged"


def test_unknown_packing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"a.jpg": b"A"})
    contents = bytearray(path.read_bytes())
    contents[contents.index(b"PK\3\4") + 8] = 9  # Deflate64
    contents[contents.index(b"PK\1\2") + 10] = 9
    path.write_bytes(contents)
    (skip,) = read_all(Zip(path)).values()
    assert skip == Skip("unreadable", "packed by a method that is not known here; pack it anew")


def test_member_too_large_for_memory_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 1 << 20)
    source = pack(tmp_path / "x.zip", {"a.jpg": bytes(1 << 20), "b.jpg": bytes((1 << 20) + 1)})
    listing = source.listing()
    assert list(listing.candidates) == ["a.jpg"]
    assert str(listing.skipped["b.jpg"]).startswith(
        "too large: 1 MiB in an archive, 1 are the most"
    )


def test_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 1 << 20)
    path = tmp_path / "x.zip"
    source = pack(path, {f"{i}.jpg": bytes(1 << 20) for i in range(4)})
    assert path.stat().st_size < 5000
    with pytest.raises(DataError, match=r"x\.zip: unpacks to 0\.0 GiB or more, [\d,]+ times its"):
        source.listing()


def test_what_is_no_picture_makes_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 1 << 20)
    source = pack(tmp_path / "x.zip", {"a.jpg": b"A", "table.csv": bytes(4 << 20)})
    assert read_all(source) == {"a.jpg": b"A"}


def test_a_size_that_lies_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"a.jpg": bytes(50_000_000)})
    contents = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = contents.index(mark) + offset
        contents[start : start + 4] = (100).to_bytes(4, "little")
    path.write_bytes(contents)
    (read,) = read_all(Zip(path)).values()
    assert isinstance(read, Skip)
    assert read.reason == "damaged"


def test_names_without_the_mark_of_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"caf\u00e9.jpg": b"A"})
    contents = path.read_bytes()
    # As packed by programs that write UTF-8 and do not say so, and by those of DOS.
    unmarked = contents.replace(b"\x00\x08\x08\x00", b"\x00\x00\x08\x00")
    assert unmarked.count(b"\x14\x00\x00\x00\x08\x00") == 2
    path.write_bytes(unmarked)
    assert list(Zip(path).listing().candidates) == ["caf\u00e9.jpg"]
    path.write_bytes(unmarked.replace("\u00e9.jpg".encode(), b"\x82\x82.jpg"))
    assert list(Zip(path).listing().candidates) == ["caf\u00e9\u00e9.jpg"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.jpg", b"old")
        archive.writestr("a.jpg", b"new")
    assert read_all(Zip(tmp_path / "x.zip")) == {"a.jpg": b"new"}


def test_archive_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack(path, {"a.jpg": b"A" * 1000})
    path.write_bytes(path.read_bytes()[:-30])
    source = open_source(path)
    with pytest.raises(DataError, match=r"x\.zip: a damaged zip archive .*download it again"):
        source.listing()


@given(where=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
@example(where=0.875, flipped=99)
def test_no_damage_makes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, where: float, flipped: int
) -> None:
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    pack(path, {"a/b.jpg": b"ABCD" * 9, "c.jpg": b"EFGH" * 9})
    contents = bytearray(path.read_bytes())
    contents[int(where * len(contents))] ^= flipped
    path.write_bytes(contents)
    with suppress(DataError):
        assert all(isinstance(contents, bytes | Skip) for contents in read_all(Zip(path)).values())
