"""Pictures of the page as it is, in both themes: `python -m docs.screenshots`. Needs Chromium.

in   the demo's history in a real server, the committed page
out  docs/images/PAGE-light.png and -dark.png

The history ends on a fixed day and every picture asks for a fixed time, so that pictures change
where the page does. Reproducible but for the letters: another font moves them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import tsdb
from api.demo_history import history
from benchmarks import serving
from docs.draw import END_MS, IMAGES

SIZE = {"width": 1280, "height": 800}
END = "2026-01-31 12:00:00"
CPU = 'avg by (host) (cpu_percent{host=~".+"})'
PAGES = {  # name of the picture: path, and what is there once all is drawn
    "explore": (
        "/graph?" + urlencode({"g0.expr": CPU, "g0.range_input": "1d", "g0.end_input": END}),
        "canvas",
    ),
    "cardinality": ("/cardinality?metric=cpu_percent", "[aria-label='Labels and what they cost']"),
}


def fill(data: Path) -> None:
    with tsdb.open(data) as db:
        for run in history(END_MS):
            db.write(run.labels, run.timestamps, run.values)


def shoot(browser: Any, url: str, name: str, theme: str) -> None:
    path, there = PAGES[name]
    page = browser.new_page(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")
    page.goto(url + path)
    page.locator(there).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"{name}-{theme}.png")
    page.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("no program chromium on PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder) / "data"
        fill(data)
        server = serving.start(data)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            for name in PAGES:
                for theme in ("light", "dark"):
                    shoot(browser, f"http://127.0.0.1:{server.port}", name, theme)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
