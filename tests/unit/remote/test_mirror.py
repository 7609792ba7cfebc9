"""The driver's folder holds this study's files, and brings its views to the storage."""

from pathlib import Path

import pytest

from raycolor.plan import Plan
from raycolor.remote.bucket import Bucket
from raycolor.remote.mirror import ORIGIN, Mirror, Publisher
from raycolor.study.aside import move_aside
from raycolor.study.segments import read_segments
from tests.unit.remote.storages import disk
from tests.unit.study.fakes import KilledError, Workers, make, run, story


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shared(tmp_path: Path) -> Bucket:
    return Bucket(f"file://{tmp_path}/shared")


@pytest.fixture
def mirror(tmp_path: Path, shared: Bucket) -> Mirror:
    return Mirror(tmp_path / "here", shared.address)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_file_of_an_older_study_is_not_taken_for_this_ones(
    mirror: Mirror, shared: Bucket
) -> None:
    name = "checkpoints/000/best_512.safetensors"
    write(mirror.folder / name, b"old!")
    shared.write(name, b"new!")
    assert mirror.fetch(name).read_bytes() == b"new!"
    # One that was compared is not compared again.
    shared.delete(name)
    assert mirror.fetch(name).read_bytes() == b"new!"
    assert not mirror.fetch("checkpoints/000/best_16.safetensors").exists()


def test_what_only_the_storage_has_is_fetched(mirror: Mirror, shared: Bucket) -> None:
    name = "checkpoints/000/best_512.safetensors"
    assert not mirror.fetch(name).exists()
    shared.write(name, b"of a trial on another machine")
    assert mirror.fetch(name).read_bytes() == b"of a trial on another machine"


@pytest.mark.parametrize("marked", [True, False])
def test_what_an_older_study_left_is_moved_aside(mirror: Mirror, marked: bool) -> None:
    write(mirror.folder / "report.html", b"old")
    if marked:
        (mirror.folder / ORIGIN).write_text("journal/1.old", encoding="utf-8")
    assert not mirror.belongs("journal/1.new")
    mirror.belong("journal/1.new")
    assert mirror.belongs("journal/1.new")
    assert not (mirror.folder / "report.html").exists()
    assert (mirror.folder.with_name("here.1") / "report.html").read_bytes() == b"old"
    write(mirror.folder / "report.html", b"new")
    mirror.belong("journal/1.new")
    assert (mirror.folder / "report.html").read_bytes() == b"new"


def test_views_come_to_the_storage_and_nothing_else(mirror: Mirror, shared: Bucket) -> None:
    for name in ("leaderboard.csv", "tensorboard/a/events.1", "best/config.yaml"):
        write(mirror.folder / name, b"view")
    for name in ("checkpoints/a/x.png", "journal/x", ".origin", "best/.config.yaml.1.part"):
        write(mirror.folder / name, b"no view")
    shared.write("tensorboard/a/events.0", b"of an earlier session elsewhere")
    Publisher(mirror, may_bring=lambda: True).close()
    assert list(shared.files()) == [
        "best/config.yaml",
        "leaderboard.csv",
        "tensorboard/a/events.1",
    ]


def test_a_driver_that_lost_its_study_brings_nothing(mirror: Mirror, shared: Bucket) -> None:
    write(mirror.folder / "leaderboard.csv", b"mine")
    shared.write("leaderboard.csv", b"theirs")
    Publisher(mirror, may_bring=lambda: False).close()
    assert shared.read("leaderboard.csv") == b"theirs"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make(tmp_path / "plan", out=f"file://{tmp_path}/shared")


@pytest.mark.parametrize("stop", range(10, 60, 7))
def test_a_move_aside_that_is_killed_anywhere_leaves_the_whole_study_somewhere(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, tmp_path: Path, stop: int
) -> None:
    expected = story(run(plan, Workers(), most_reports=6))
    there = Bucket(f"file://{tmp_path}/shared")
    there.write("toy/checkpoints/000/best_16.png", b"png")

    def kill(number: int, name: str) -> bool:
        if number >= stop:
            raise KilledError
        return False

    try:
        with disk(monkeypatch, kill):
            move_aside(plan)
    except KilledError:
        pass
    # Whatever is left there can be read, and moved aside too.
    read_segments(Bucket(f"file://{tmp_path}/shared/toy"))
    move_aside(plan)
    assert not [name for name in there.files("toy") if name.endswith(".jsonl")]
    kept = {
        name: story(read_segments(Bucket(f"file://{tmp_path}/shared/{name}")))
        for name in sorted({name.partition("/")[0] for name in there.files()})
    }
    assert expected in kept.values()
