"""The command line, run as a process: exit codes, signals, terminals, locales."""

import json
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import psutil
import pytest

from raycolor import prepare as command
from raycolor.data import open_prepared, verify
from raycolor.errors import DataError
from raycolor.preparation import run as run_module
from tests.unit.preparation.making import files, photo, recipe, settings, unwatched, write

NUMBER = 60
LARGE = 384
"""Makes a data set of 26 MB, so that a kill may hit every step."""


def arguments(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "raycolor.prepare", *map(str, words)]


def run(
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(*words),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, **(env or {})},
        check=False,
        preexec_fn=before,
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "photographs", files(NUMBER))


@pytest.fixture(scope="module")
def large_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "photographs"
    folder.mkdir()
    for i in range(NUMBER):
        photo(i, LARGE, LARGE).save(folder / f"{i}.jpg")
    return folder


@pytest.fixture(scope="module")
def whole(large_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of all large photographs."""
    wanted = settings(
        large_photographs, tmp_path_factory.mktemp("whole") / "out", recipe=recipe(LARGE), workers=2
    )
    return run_module.prepare(wanted, unwatched).data.fingerprint


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder for the result; fails if a run leaves anything beside it."""
    place = tmp_path / "place"
    place.mkdir()
    yield place
    assert [path.name for path in place.iterdir() if path.name != "out"] == []


def accepted(out: Path) -> str | None:
    """The fingerprint that a search would find, or None if it would refuse."""
    try:
        data = open_prepared(out)
    except DataError:
        return None
    verify(data)
    return data.fingerprint


def test_flags_are_these() -> None:
    assert list(command.Flags.__dataclass_fields__) == [
        "source",
        "out",
        "size",
        "fit",
        "validation",
        "test",
        "least_color",
        "archive",
        "sha256",
        "workers",
        "overwrite",
    ]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from raycolor import prepare; "
        "light = set(sys.modules); "
        "from raycolor.preparation import closing, progress, run; "
        "print(*({'torch', 'ray', 'optuna', 'kornia', 'scipy', 'timm'} & set(sys.modules)), "
        "*({'pyarrow', 'numpy', 'PIL'} & light))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_tells_what_it_did_and_what_is_next(photographs: Path, place: Path) -> None:
    done = run(photographs, place / "out", "--size", "32", "--fit", "stretch", "--workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Reading 60 files.", "Writing the data set."]
    assert re.fullmatch(rf"{place}/out: 60 pictures of 32 pixels, \d+ kB", lines[2])
    assert lines[-1] == (
        f"Next: python -m raycolor.search --data {place}/out --study out --set data.size=32"
    )
    about = json.loads((place / "out" / "dataset.json").read_text())
    assert about["preparation"]["fit"] == "stretch"
    assert accepted(place / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "out"], "nowhere: there is no such folder or archive; name one that holds"),
        (["empty", "out"], "empty: no picture in it"),
        (["words.zip", "out"], "words.zip: no folder and no archive that is read here"),
        (["photographs", "taken"], "taken: holds files that are no prepared data set (mine.txt)"),
        (["photographs", "taken", "--overwrite"], "taken: holds files that are no prepared"),
        (["photographs", "words.zip"], "words.zip: is a file, or a link that leads nowhere"),
        (["photographs", "out", "--size", "8"], "--size: 8 pixels; give 16 to 1024"),
        (["photographs", "out", "--size", "64"], "photographs: too few pictures: 0 for training"),
    ],
)
def test_errors_of_the_user_are_sentences(
    photographs: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    shutil.copytree(photographs, tmp_path / "photographs")
    write(tmp_path, {"words.zip": b"words", "taken/mine.txt": b"mine"})
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        arguments(*words), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_what_may_not_be_read_is_named(photographs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photographs, tmp_path / "in"))
    write(folder, {"closed/a.png": b""})
    (folder / "closed").chmod(0)
    (folder / "p000.png").chmod(0)
    if os.access(folder / "p000.png", os.R_OK):
        pytest.skip("root may read everything")
    done = run(folder, tmp_path / "out", "--size", "16")
    skipped = json.loads((tmp_path / "out" / "dataset.json").read_text())["skipped"]
    (folder / "closed").chmod(0o700)
    assert done.returncode == 0
    assert skipped == {
        "closed/": "unreadable: Permission denied",
        "p000.png": "unreadable: cannot be opened (Permission denied)",
    }
    folder.chmod(0)
    done = run(folder, tmp_path / "other", "--size", "16")
    folder.chmod(0o700)
    assert done.returncode == 2
    assert done.stderr == f"{folder}: cannot be read (Permission denied)\n"


def test_full_disk_is_a_sentence(photographs: Path, place: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = run(photographs, place / "out", "--size", "40", before=limit)
    assert done.returncode == 2
    assert f"{place}/out: cannot be written (File too large); name a folder on a" in done.stderr
    assert list(place.iterdir()) == []


def test_locale_does_not_matter(photographs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photographs, tmp_path / "in"))
    (folder / "p000.png").rename(folder / "\u00e9t\u00e9 \u4e2d.png")
    (folder / "\u00e8\u4e2d.jpg").write_bytes(b"words")
    fingerprints = []
    for locale in ("C.UTF-8", "C"):
        out = tmp_path / locale
        env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        done = run(folder, out, "--size", "16", env=env)
        assert done.returncode == 0, done.stderr
        fingerprints.append(accepted(out))
        assert "\u00e8\u4e2d.jpg" in json.loads((out / "dataset.json").read_bytes())["skipped"]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize("color", [False, True])
def test_narrow_terminal(photographs: Path, place: Path, color: bool) -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    env |= {} if color else {"NO_COLOR": "1"}
    process = subprocess.Popen(
        arguments(photographs, place / "out", "--size", "16"), stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end, on Linux
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    assert bool(re.search(rb"\x1b\[[0-9;]*[34][0-9][0-9;]*m", shown)) == color
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    lines = [line for line in re.split(r"[\r\n]+", text) if not line.startswith("Next: ")]
    assert max(map(len, lines)) <= 60
    assert any(re.search(r"Reading .*/60", line) for line in lines)
    assert "60 pictures of 16 pixels" in text.replace("\r\n", " ")


def in_temp(place: Path, name: str) -> bool:
    return any(place.glob(f".out.*.part/{name}"))


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "at the start": lambda place: True,
    "before the first row": lambda place: in_temp(place, "."),
    "within the rows": lambda place: any(
        path.stat().st_size > 2_000_000 for path in place.glob(".out.*.part/rows")
    ),
    "within the splits": lambda place: in_temp(place, ".train.arrow.*"),
    "before the description": lambda place: in_temp(place, "test.arrow"),
    "before the renames": lambda place: in_temp(place, "dataset.json"),
}


def begin(photographs: Path, place: Path, moment: str, *words: str) -> psutil.Popen:
    """Begin a run, and come back at a moment of it."""
    process = psutil.Popen(
        arguments(photographs, place / "out", "--size", str(LARGE), "--workers", "2", *words),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not MOMENTS[moment](place) and process.poll() is None:
        time.sleep(0.0005)
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "older"),
    [
        ("at the start", False),
        ("before the first row", True),
        ("within the rows", False),
        ("within the splits", True),
        ("before the description", False),
        ("before the renames", True),
    ],
)
def test_kill_leaves_nothing_that_is_not_complete(
    photographs: Path,
    large_photographs: Path,
    whole: str,
    place: Path,
    moment: str,
    older: bool,
) -> None:
    words = ["--overwrite"] if older else []
    before = None
    if older:
        before = run_module.prepare(
            settings(photographs, place / "out"), unwatched
        ).data.fingerprint
    process = begin(large_photographs, place, moment, *words)
    workers: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # it was too quick for the moment
        process.suspend()
        workers = process.children(recursive=True)
    process.kill()
    process.communicate()
    after = accepted(place / "out")
    # The kill may come late, when the new one is in place.
    assert after in (before, whole)
    psutil.wait_procs(workers, timeout=30)
    assert not any(worker.is_running() for worker in workers)
    done = run(photographs, place / "out", "--size", "16", *words)
    assert done.returncode == (0 if after is None or older else 2), done.stderr
    assert accepted(place / "out") is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "within the rows"), (signal.SIGTERM, "before the first row")],
)
def test_interrupt_cleans_up(
    large_photographs: Path, place: Path, number: signal.Signals, moment: str
) -> None:
    process = begin(large_photographs, place, moment)
    children = process.children(recursive=True)
    # As a terminal does it: to all processes at once.
    for receiver in [process, *children] if number == signal.SIGINT else [process]:
        with suppress(psutil.NoSuchProcess):
            receiver.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b"Interrupted.\n"
    assert list(place.iterdir()) == []
    psutil.wait_procs(children, timeout=30)
    assert not any(child.is_running() for child in children)


def test_worker_that_is_killed_costs_nothing(photographs: Path, tmp_path: Path) -> None:
    wanted = settings(photographs, tmp_path / "undisturbed", workers=2)
    undisturbed = run_module.prepare(wanted, unwatched)
    killed = []

    def watch(done: int, total: int) -> None:
        if done == 20:
            servers = psutil.Process().children()
            killed.append(next(worker for server in servers for worker in server.children()))
            killed[0].kill()

    disturbed = run_module.prepare(settings(photographs, tmp_path / "out", workers=2), watch)
    assert len(killed) == 1
    assert disturbed.data.fingerprint == undisturbed.data.fingerprint
    assert disturbed.skipped == {}
