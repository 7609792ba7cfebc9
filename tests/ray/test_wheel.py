"""The default study from an installed wheel, in an empty folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SMALL = (
    "--trials=1",
    "--set=generator.width=8",
    "--set=generator.backbone=scratch",
    "--set=evaluation.images=4",
    "--set=evaluation.extractor_size=64",
    "--set=budget.images=32",
    "--set=budget.report_every=16",
    "--set=study.scheduler.first_rung=16",
    "--set=pretraining.images=16",
)


def test_installed_wheel_runs_its_default_study(tmp_path: Path) -> None:
    source, site, empty = tmp_path / "source", tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    source.mkdir()
    for name in ("raycolor", "search_spaces"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = tmp_path.glob("raycolor-*.whl")
    install = [*pip, "install", "--no-deps", "--target", str(site), str(built)]
    subprocess.run(install, check=True, capture_output=True)

    home = tempfile.mkdtemp(prefix="rc-")
    environment = {**os.environ, "PYTHONPATH": str(site), "HOME": home, "RAY_TMPDIR": home}
    where = [sys.executable, "-c", "import raycolor; print(raycolor.__file__)"]
    found = subprocess.run(
        where, cwd=empty, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(site))
    done = subprocess.run(
        [sys.executable, "-m", "raycolor.search", *SMALL],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (empty / "results" / "quickstart" / "best" / "samples.png").is_file()
