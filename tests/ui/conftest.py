"""A real browser on a real `silverback serve`. Skipped by name where there is no Chromium."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks import serving

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENSHOTS = ROOT / "build" / "screenshots"  # looked at by a person; git-ignored
AXE = ROOT / "api" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
STEP_MS, STEPS, WAVES = 3_600, 1_000, 20
WAIT_MS = 30_000  # a busy machine draws late
HOSTILE = '<img src=x onerror="document.title=1">'
TURNED = "abc\u202egnp.exe"
LONG = "v" * 4096
# How many pixels are not of the commonest colour, and how many colours there are.
INK = """async canvas => {
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, copy.width, copy.height);
  const words = new Uint32Array(data.buffer), seen = new Map();
  for (const word of words) seen.set(word, (seen.get(word) ?? 0) + 1);
  return { inked: words.length - Math.max(...seen.values()), colours: seen.size };
}"""


@dataclass
class Opened:
    """A page and what it complained of."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        self.page.goto(self.url + path)
        return self.page

    def ink(self) -> dict[str, int]:
        return self.page.locator("canvas").first.evaluate(INK)

    def until(self, happens: Callable[[], bool]) -> None:
        """The page draws when it comes to it."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not happens():
            assert time.monotonic() < deadline, "it does not happen"

    def serious(self) -> list[Any]:
        """What keeps people from using it who do not see it, or not as others do."""
        if not AXE.is_file():
            pytest.skip("no axe-core: make ui installs it")
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("async () => (await axe.run()).violations")
        return [
            (v["id"], [n["target"] for n in v["nodes"]])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


def chromium() -> str | None:
    given = os.environ.get("SILVERBACK_CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    program = chromium()
    if program is None:
        pytest.skip("no program chromium on PATH nor in SILVERBACK_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu"],  # root in a container
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Server]:
    """The last hour: waves, a histogram, a counter, and labels that mean no good."""
    server = serving.start(tmp_path_factory.mktemp("ui") / "db")
    try:
        last = int(time.time()) * 1000
        times = [last - (STEPS - 1 - i) * STEP_MS for i in range(STEPS)]
        send(server.port, lines(times))
        yield server
    finally:
        server.stop()


def send(port: int, found: Iterable[dict[str, Any]]) -> None:
    body = "\n".join(map(json.dumps, found)).encode()
    url = f"http://127.0.0.1:{port}/api/v1/import"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        assert answer.status < 300, answer.read()


def lines(times: list[int]) -> Iterator[dict[str, Any]]:
    count = range(len(times))

    def line(name: str, values: list[float], **labels: str) -> dict[str, Any]:
        return {"metric": {"__name__": name, **labels}, "timestamps": times, "values": values}

    for n in range(WAVES):
        wave = [round(math.sin(i / 60 + n) * 10 + n, 3) for i in count]
        yield line("wave", wave, host=f"web-{n:02}", job="demo")
    for n, bound in enumerate(("0.1", "0.5", "1", "+Inf")):
        yield line("lat_bucket", [float(i * (n + 1)) for i in count], le=bound)
    yield line("requests_total", [float(i * 3) for i in count], code="200")
    for value in (HOSTILE, TURNED, LONG):
        yield line("hostile", [1.0 * i for i in count], text=value)


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def visit(browser: Any, served: serving.Server) -> Iterator[Callable[..., Opened]]:
    """A page in a fresh profile; at the end nothing may have been said on the console."""
    contexts: list[Any] = []
    every: list[Opened] = []

    def made(theme: str = "light", width: int = 1280) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        opened = Opened(page, f"http://127.0.0.1:{served.port}")
        page.on("console", lambda said: opened.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        every.append(opened)
        return opened

    yield made
    for context in contexts:
        context.close()
    assert [o.complaints for o in every if o.complaints] == []
