"""A server on this machine, a place for its file, and what is heard of the download."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.downloads.answers import Heard, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    told = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.headers["Range"])
            answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_port}/folder/weights.bin"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield told
        told.released.set()
        listening.shutdown()
        thread.join()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.bin"
