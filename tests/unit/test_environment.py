"""Each field says what is true of this machine, found out in another way."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import raycolor
from raycolor import environment
from raycolor.environment import PACKAGES, available_cores, describe_environment
from raycolor.weights import efficientnet_lite0_path, weights_fingerprints

ROOT = Path(raycolor.__file__).parent.parent


def git(root: Path, *words: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(root), *names, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_versions_and_hardware() -> None:
    found = describe_environment()
    assert found["raycolor"] == raycolor.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"] == {package: version(package) for package in PACKAGES}
    assert found["platform"] == platform.platform()
    assert found["cores"] == available_cores()
    assert found["processor"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own account")
def test_cores_and_memory_as_the_kernel_tells_them() -> None:
    kib = re.search(r"MemTotal: *(\d+) kB", Path("/proc/meminfo").read_text())
    assert kib is not None
    assert describe_environment()["memory_gib"] == pytest.approx(int(kib[1]) / 2**20, rel=0.01)
    all_cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(all_cores)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, all_cores)


def test_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raycolor").mkdir()
    module = tmp_path / "raycolor" / "environment.py"
    monkeypatch.setattr(environment, "__file__", str(module))
    found = describe_environment()
    assert (found["commit"], found["changed"]) == (None, None)
    module.write_text("first")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    found = describe_environment()
    assert (found["commit"], found["changed"]) == (git(tmp_path, "rev-parse", "HEAD"), False)
    module.write_text("second")
    found = describe_environment()
    assert (found["commit"], found["changed"]) == (git(tmp_path, "rev-parse", "HEAD"), True)


@pytest.mark.parametrize(
    ("said", "gpus"),
    [
        (
            "echo 'NVIDIA H100, 80GB HBM3, 81559, 575.57.08'; echo 'Tesla T4, 15360, 575.57.08'",
            [
                {"name": "NVIDIA H100, 80GB HBM3", "memory_mib": "81559", "driver": "575.57.08"},
                {"name": "Tesla T4", "memory_mib": "15360", "driver": "575.57.08"},
            ],
        ),
        ("echo 'No devices were found'", []),
        ("echo 'cannot reach the driver'; exit 9", []),
    ],
)
def test_gpus_as_their_own_tool_tells_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    gpus: list[dict[str, str]],
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{said}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert describe_environment()["gpus"] == gpus


def test_no_tool_no_gpus_and_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = describe_environment()
    assert (found["gpus"], found["commit"]) == ([], None)


def test_no_path_of_this_machine_and_plain_values() -> None:
    text = json.dumps(describe_environment())
    for path in (ROOT, Path.home(), Path(sys.prefix), Path.cwd()):
        assert str(path) == "/" or str(path) not in text


def test_it_is_quick_and_imports_no_package() -> None:
    code = (
        "import sys; from raycolor.environment import describe_environment; "
        "describe_environment(); print([n for n in ('torch', 'ray', 'optuna', 'numpy') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_weights_are_named_by_the_hash_of_their_file() -> None:
    content = efficientnet_lite0_path().read_bytes()
    assert weights_fingerprints() == {"efficientnet_lite0": hashlib.sha256(content).hexdigest()}
