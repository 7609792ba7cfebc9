"""Where ImageNet weights are looked for, and how they get there: a loopback server for the web."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raycolor import weights
from raycolor.backbones import ENCODERS
from raycolor.cache import cache_folder
from raycolor.errors import WeightsError
from raycolor.weights import (
    efficientnet_lite0_path,
    find_weights,
    weights_fingerprints,
    weights_key,
)

CONTENT = b"weights of a small network" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = f"small-{SHA256[:8]}.pth"
WANTED = [("resnet18", "imagenet")]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights" / FILE


@pytest.fixture
def of_torch(tmp_path: Path) -> Path:
    return tmp_path / "torch" / "hub" / "checkpoints" / FILE


class Web:
    """A server of files on this machine, instead of the address of resnet18's weights."""

    def __init__(self, folder: Path, asked: list[str]) -> None:
        self.file = folder / FILE
        self.asked = asked


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        url = f"http://127.0.0.1:{listening.server_port}/{FILE}"
        monkeypatch.setattr(
            weights,
            "ENCODERS",
            {name: replace(encoder, url=url) for name, encoder in ENCODERS.items()},
        )
        monkeypatch.setattr(weights, "WAITS_S", ())
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield Web(folder, asked)
        listening.shutdown()
        thread.join()


def place(path: Path, content: bytes = CONTENT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_what_is_not_there_is_fetched_once_into_the_cache(web: Web, kept: Path) -> None:
    place(web.file)
    told: list[str] = []
    assert find_weights(WANTED, tell=told.append) == {"resnet18": kept}
    assert kept.read_bytes() == CONTENT
    assert told == [f"fetching {FILE}: 0.0 of 0.0 MB"]
    assert find_weights(WANTED) == {"resnet18": kept}
    assert len(web.asked) == 1


def test_a_file_put_into_a_folder_by_hand_is_found(web: Web, kept: Path, of_torch: Path) -> None:
    place(of_torch)
    assert find_weights(WANTED) == {"resnet18": of_torch}
    place(kept)
    assert find_weights(WANTED) == {"resnet18": kept}
    assert web.asked == []


def test_a_damaged_file_in_the_cache_is_replaced(web: Web, kept: Path) -> None:
    place(kept, CONTENT[:-1])
    place(web.file)
    assert find_weights(WANTED) == {"resnet18": kept}
    assert kept.read_bytes() == CONTENT


def test_where_it_was_looked_for_and_what_helps(web: Web, kept: Path, of_torch: Path) -> None:
    place(of_torch, b"something else")
    with pytest.raises(WeightsError) as caught:
        find_weights(WANTED)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"generator.backbone: resnet18: its ImageNet weights, {FILE}, are not ")
    assert f"not in {kept.parent} and {of_torch.parent} (a file of that name has other" in said
    assert "the server answers 404" in said
    assert said.endswith(
        f"Put the file into {kept.parent}, or name it with --set generator.weights=PATH, or start "
        "without: --set generator.weights=none"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-1], "not the expected file"),
        (b"<html>log in</html>", "a web page came instead of the file"),
    ],
)
def test_a_wrong_download_is_not_kept(web: Web, kept: Path, content: bytes, reason: str) -> None:
    place(web.file, content)
    with pytest.raises(WeightsError, match=reason):
        find_weights(WANTED)
    assert not kept.exists()


def test_all_that_is_missing_is_told_at_once(web: Web, tmp_path: Path) -> None:
    wanted = [
        ("resnet18", "imagenet"),
        ("resnet50", "imagenet"),
        ("efficientnet_lite0", "imagenet"),
        ("resnet50", "mine.pth"),
        ("resnet34", str(tmp_path)),
    ]
    with pytest.raises(WeightsError) as caught:
        find_weights(wanted)
    lines = str(caught.value).splitlines()
    assert [line.partition(", small")[0] for line in lines[:2]] == [
        "generator.backbone: resnet18: its ImageNet weights",
        "generator.backbone: resnet50: its ImageNet weights",
    ]
    remedy = "give the path of a file of weights, imagenet or none"
    assert lines[2:] == [
        f"generator.weights: mine.pth: there is no such file; {remedy}",
        f"generator.weights: {tmp_path}: is no file; {remedy}",
    ]


def test_the_package_and_a_path_need_no_cache(web: Web, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    place(mine)
    wanted = [("efficientnet_lite0", "imagenet"), ("resnet18", str(mine)), ("resnet34", str(mine))]
    found = find_weights(wanted)
    assert found == {"efficientnet_lite0": efficientnet_lite0_path(), str(mine): mine}
    assert weights_key("resnet18", str(mine)) == str(mine)
    assert web.asked == []
    assert weights_fingerprints(found)[str(mine)] == SHA256
    # A file that changes is another one.
    place(mine, b"others")
    assert weights_fingerprints(found)[str(mine)] == hashlib.sha256(b"others").hexdigest()


def test_the_cache_is_where_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAYCOLOR_CACHE", "~/there")
    assert cache_folder() == tmp_path / "there"
    monkeypatch.delenv("RAYCOLOR_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "raycolor"
