"""Cardinality, status, cluster: what they show is what the API says."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from ui.conftest import HOSTILE, WAVES, Opened

Visit = Callable[..., Opened]


def of_api(served: Any, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}{path}", timeout=30) as answer:
        return json.load(answer)["data"]


def test_metrics_with_most_series_come_first(visit: Visit, served: Any, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/cardinality")
    rows = page.locator("section[aria-label='Metrics with most series']")
    rows.locator("tr").first.wait_for()
    opened.screenshot(f"cardinality-{theme}")
    counts = of_api(served, "/api/v1/status/tsdb?limit=50")["seriesCountByMetricName"]
    shown = [row.split() for row in rows.locator("tr").all_inner_texts()]
    assert [(name, int(count.replace(",", ""))) for name, count in shown] == [
        (each["name"], each["value"]) for each in counts
    ]


def test_the_label_that_tells_series_apart_saves_most(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/cardinality?metric=wave")
    rows = page.get_by_role("region", name="Labels and what they cost").locator("tbody tr")
    rows.first.wait_for()
    opened.screenshot(f"cardinality-metric-{theme}")
    texts = [" ".join(text.split()) for text in rows.all_inner_texts()]
    assert texts == [
        f"host {WAVES} 1 95 % sum without (host) (…)",
        f"job 1 {WAVES} 0 % sum without (job) (…)",
    ]
    page.get_by_role("link", name="Look at it in Explore").click()
    page.wait_for_selector(".panel canvas")


def test_a_hostile_name_is_text(visit: Visit) -> None:
    page = visit().open(f"/cardinality?metric={urllib.parse.quote(HOSTILE)}")
    page.get_by_text("No series has this name.").wait_for()
    assert HOSTILE in page.get_by_role("heading", name="which label").inner_text()
    assert page.locator("main img").count() == 0
    assert page.title() == "Cardinality · Silverback"


def test_status_tells_what_is_stored(visit: Visit, served: Any, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/status")
    page.get_by_text("Bytes a point").wait_for()
    opened.screenshot(f"status-{theme}")
    series = of_api(served, "/api/v1/status/tsdb")["headStats"]["numSeries"]
    facts = dict(
        zip(
            page.locator("dl.facts dt").all_inner_texts(),
            page.locator("dl.facts dd").all_inner_texts(),
            strict=True,
        )
    )
    assert facts["State"] == "ready"
    assert facts["Series"] == f"{series:,}"
    assert re.fullmatch(r"\d+\.\d\d", facts["Bytes a point"])
    page.get_by_text("Settings").click()
    assert page.get_by_role("row", name=re.compile(r"^--port \d")).inner_text().split() == [
        "--port",
        str(served.port),
    ]


def test_a_running_query_is_stopped_by_a_second_click(visit: Visit, served: Any) -> None:
    """It would run for many seconds: a subquery of two million steps and twenty series."""
    text = "max_over_time(sum(sin(wave) * cos(wave) + sqrt(abs(wave)))[20d:1s])"
    path = f"/api/v1/query?{urllib.parse.urlencode({'query': text})}"
    ends: list[str] = []

    def ask() -> None:
        try:
            of_api(served, path)
            ends.append("answered")
        except urllib.error.HTTPError as error:
            ends.append(json.load(error)["errorType"])

    opened = visit()
    page = opened.open("/status")
    page.get_by_text("None at the moment.").wait_for()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        while not of_api(served, "/api/v1/status/active_queries"):
            assert not ends, ends
        page.reload()
        page.get_by_role("button", name="Stop", exact=True).click()
        opened.screenshot("status-running")
        page.get_by_role("button", name="Really stop it?").click()
        page.get_by_text("None at the moment.").wait_for()
    finally:
        asking.join()
    assert ends == ["canceled"]


def test_a_server_of_its_own_says_how_a_cluster_begins(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/cluster")
    page.get_by_text("silverback cluster dev").wait_for()
    opened.screenshot(f"cluster-alone-{theme}")
    assert page.get_by_role("table").count() == 0


@pytest.mark.parametrize(
    "path", ["/cardinality", "/cardinality?metric=wave", "/status", "/cluster"]
)
def test_assistive_technology_finds_its_way(visit: Visit, theme: str, path: str) -> None:
    opened = visit(theme)
    page = opened.open(path)
    page.wait_for_selector("main .card")
    page.wait_for_function("!document.querySelector('main').innerText.includes('Loading')")
    assert opened.serious() == []
