"""What is asked of each machine before trials start."""

import platform
from pathlib import Path

import pytest

from raycolor.data import PreparedData
from raycolor.plan import Plan, make_plan
from raycolor.remote.bucket import Bucket
from raycolor.remote.data_sets import local_copy, upload
from raycolor.remote.room import LIMIT
from raycolor.storage import StorageError
from raycolor.tuning import probe
from raycolor.tuning.probe import MARK, folder_address, marked


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WAITS_S", (0.0,))


def plan(out: Path | str) -> Plan:
    return make_plan(
        space="quickstart",
        study="tiny",
        out=out,
        data="photos",
        trials=None,
        concurrent=None,
        overrides={},
        address="auto",
        time_budget_s=None,
        seed=0,
    )


@pytest.mark.parametrize("kind", ["path", "address"])
def test_a_shared_folder_is_found_and_left_as_it_was(tmp_path: Path, kind: str) -> None:
    made = plan(tmp_path if kind == "path" else f"file://{tmp_path}")
    address = folder_address(made)
    with marked(made) as mark:
        assert probe.probe(address, mark, made.where, None, "") is None
        assert [path.name for path in (tmp_path / "tiny").iterdir()] == [MARK]
    assert list((tmp_path / "tiny").iterdir()) == []


def test_a_folder_without_the_mark_or_with_another_s_is_refused(tmp_path: Path) -> None:
    here, there = plan(tmp_path / "here"), plan(tmp_path / "there")
    with marked(here) as mark, marked(there):
        for address in (folder_address(there), (tmp_path / "nowhere").as_uri()):
            said = probe.probe(address, mark, here.where, None, "")
            assert said == (
                f"{platform.node()}: --out {here.where}: is not the folder that the driver "
                "writes; give a folder that all machines share at this path, or an address, as "
                "s3://BUCKET/FOLDER"
            )
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(tmp_path)

    def refuse(self: object, name: str, content: bytes) -> None:
        raise StorageError(f"{name}: cannot be written (Permission denied)")

    with marked(made) as mark:
        monkeypatch.setattr(Bucket, "write", refuse)
        said = probe.probe(folder_address(made), mark, made.where, None, "")
    assert said is not None
    assert said.startswith(f"{platform.node()}: {MARK}.")
    assert "cannot be written (Permission denied)" in said


def test_the_data_has_to_be_there_and_the_same(tmp_path: Path, prepared: PreparedData) -> None:
    made = plan(tmp_path)
    address, data = folder_address(made), str(prepared.path)
    with marked(made) as mark:
        assert probe.probe(address, mark, "x", data, prepared.fingerprint) is None
        other = probe.probe(address, mark, "x", data, "0" * 64)
        none = probe.probe(address, mark, "x", str(tmp_path / "none"), prepared.fingerprint)
    assert other is not None
    assert "is another data set there" in other
    assert none is not None
    assert "cannot be read there" in none


def test_a_data_set_at_an_address_has_to_be_there_fit_and_be_the_same(
    tmp_path: Path, prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    made = plan(tmp_path)
    address, data = folder_address(made), f"file://{tmp_path}/data"
    upload(prepared.path, data)
    with marked(made) as mark:

        def problem(data: str, fingerprint: str = prepared.fingerprint) -> str:
            return str(probe.probe(address, mark, "x", data, fingerprint))

        assert problem(data) == "None"
        # It is not copied for that.
        assert not (tmp_path / "cache").exists()
        begin = f"{platform.node()}: --data file://{tmp_path}/"
        assert problem(data, "0" * 64).startswith(f"{begin}data: is another data set here than on")
        assert problem(f"file://{tmp_path}/none").startswith(f"{begin}none: there is nothing; give")

        def refuse(self: Bucket, name: str) -> bytes:
            raise StorageError(f"{self.where(name)}: cannot be read (no route to host)")

        with monkeypatch.context() as patched:
            patched.setattr("raycolor.remote.data_sets.Bucket.read", refuse)
            patched.setattr(probe, "look", lambda address, mark, where: None)
            assert problem(data).startswith(f"{begin}data/dataset.json: cannot be read (no route")
        monkeypatch.setenv(LIMIT, "0.000000001")
        assert problem(data).startswith(f"{begin}data: takes 0 MB, and copies of data sets may")
        # A copy that is there needs no room.
        monkeypatch.delenv(LIMIT)
        local_copy(data)
        monkeypatch.setenv(LIMIT, "0.000000001")
        assert problem(data) == "None"
        monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "other"))
        monkeypatch.setenv(LIMIT, "many")
        assert problem(data).startswith(f"{platform.node()}: environment variable {LIMIT}: 'many'")
