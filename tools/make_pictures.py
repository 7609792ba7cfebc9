"""Make the README's pictures from a finished study.

    python tools/make_pictures.py results/quickstart

Copies the winner's samples, and photographs the study's page and TensorBoard in Chromium, which has
to be installed. Writes into results/gallery.
"""

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

GALLERY = Path("results/gallery")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def main() -> None:
    """Write all pictures."""
    study = Path(sys.argv[1])
    subprocess.run([sys.executable, "-m", "raycolor.show", str(study)], check=True)
    shutil.copyfile(study / "best" / "samples.png", GALLERY / "quickstart.png")
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 1700})
        page.goto((study / "report.html").resolve().as_uri())
        page.wait_for_selector("#race .main-svg")
        save(page, "report.jpg")
        page.locator("#race").scroll_into_view_if_needed()
        page.locator("#race").screenshot(path=GALLERY / "race.png")
        with tensorboard(study / "tensorboard") as address:
            page.set_viewport_size({"width": 1700, "height": 780})
            page.goto(f"{address}/#hparams")
            page.get_by_text("PARALLEL COORDINATES VIEW").click(timeout=60_000)
            page.locator("svg .foreground path").first.wait_for(timeout=60_000)
            page.wait_for_timeout(1000)
            save(page, "tensorboard.jpg")
        browser.close()


def save(page: Page, name: str) -> None:
    """Write what the window shows as a JPEG, which photographs keep small."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").save(GALLERY / name, quality=88, subsampling=0, optimize=True)


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Run TensorBoard on this machine; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=quiet, stderr=quiet) as process:
        try:
            for _ in range(300):
                try:
                    opener.open(f"{address}/data/environment", timeout=5).close()
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.2)
            yield address
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
