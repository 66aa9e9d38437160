"""/graph in a real browser, on a real server, with data."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ui.conftest import HOSTILE, TURNED, WAVES, Opened, send

Visit = Callable[..., Opened]
LEGEND = ".legend li"


def asked(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def drawn(opened: Opened, path: str) -> Any:
    page = opened.open(path)
    page.wait_for_selector("canvas")
    page.wait_for_selector(".panel[aria-busy=false]")
    return page


def test_a_graph_has_ink_and_as_many_legend_entries_as_series(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = drawn(opened, "/graph?g0.expr=wave&g0.range_input=1h")
    opened.screenshot(f"explore-lines-{theme}")

    assert page.locator(LEGEND).count() == WAVES
    ink = opened.ink()
    assert ink["inked"] > 5_000
    assert ink["colours"] > 10
    page.locator(".legend input").fill("web-03")
    assert page.locator(LEGEND).count() == 1
    opened.until(lambda: opened.ink()["inked"] < ink["inked"])


@pytest.mark.parametrize("style", ["stacked", "bars", "heatmap"])
def test_every_style_draws_something_of_its_own(visit: Visit, theme: str, style: str) -> None:
    expr = "sum by (le) (rate(lat_bucket[5m]))" if style == "heatmap" else "wave + 30"
    opened = visit(theme)
    drawn(opened, f"/graph?g0.expr={expr.replace('+', '%2B')}&g0.range_input=30m")
    lines = opened.ink()
    drawn(
        opened,
        f"/graph?g0.expr={expr.replace('+', '%2B')}&g0.range_input=30m&g0.display_mode={style}",
    )
    opened.screenshot(f"explore-{style}-{theme}")

    assert opened.ink()["inked"] > max(lines["inked"], 50_000)


def test_there_is_something_to_choose_before_anything_is_asked(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/")
    page.wait_for_selector(".metrics button")
    opened.screenshot(f"explore-empty-{theme}")
    page.get_by_role("button", name="requests_total").click()
    page.wait_for_selector("canvas")

    assert asked(page)["g0.expr"] == "rate(requests_total[5m])"


def test_dragging_zooms_and_the_back_button_returns(visit: Visit) -> None:
    page = drawn(visit(), "/graph?g0.expr=wave&g0.range_input=1h")
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("end_input"))

    assert re.fullmatch(r"(29|30)m.*", asked(page)["g0.range_input"])
    page.go_back()
    page.wait_for_function("!location.search.includes('end_input')")
    assert page.get_by_label("Range", exact=True).input_value() == "1h"


def test_it_works_without_a_mouse(visit: Visit) -> None:
    opened = visit()
    page = opened.open("/graph")
    page.wait_for_selector(".metrics button")
    page.keyboard.press("/")
    page.keyboard.type("sum(wave")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas")
    assert asked(page)["g0.expr"] == "sum(wave)"  # the bracket closed itself

    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Run"
    page.locator(".plot").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile("end_input"))
    page.locator(".plot").focus()
    page.keyboard.press("+")
    page.wait_for_url(re.compile("range_input=(29|30)m"))


def test_names_are_completed_from_the_api(visit: Visit) -> None:
    opened = visit()
    page = opened.open("/graph")
    page.wait_for_selector(".metrics button")
    page.keyboard.press("/")
    page.keyboard.type("wav")
    page.get_by_role("option", name="wave").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.type("e{ho")
    page.get_by_role("option", name="host").wait_for()
    opened.screenshot("explore-completion")

    assert page.get_by_role("option", name="host").count() == 1


def test_a_function_says_what_it_takes(visit: Visit) -> None:
    page = visit().open("/graph")
    page.wait_for_selector(".metrics button")
    page.keyboard.press("/")
    page.keyboard.type("rate(")

    assert "rate(range vector) → instant vector" in page.locator(".cm-signature").inner_text()


def test_an_error_is_shown_as_it_is_with_its_place(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = opened.open("/graph?g0.expr=sum(wave")
    problem = page.get_by_role("alert")
    problem.wait_for()
    page.wait_for_timeout(700)  # the underline comes a while after the last key
    opened.screenshot(f"explore-error-{theme}")

    assert "1:9: parse error: unclosed left parenthesis" in problem.inner_text()
    place = problem.locator("pre").inner_text().splitlines()
    assert place[1].index("^") == len("sum(wave")
    assert page.locator(".cm-lintRange-error, .cm-lintPoint-error").count() == 1
    opened.complaints[:] = [c for c in opened.complaints if "400 (Bad Request)" not in c]


def test_hostile_labels_are_text(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = drawn(opened, "/graph?g0.expr=hostile&g0.range_input=1h")
    opened.screenshot(f"explore-hostile-{theme}")
    names = page.locator(f"{LEGEND} bdi")
    texts = names.all_inner_texts()

    assert any(HOSTILE.replace('"', '\\"') in text for text in texts)
    assert any("\\u202egnp.exe" in text for text in texts)
    assert not any(TURNED in text for text in texts)
    assert max(map(len, texts)) <= 200
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Table", exact=True).click()
    page.wait_for_selector("td")
    opened.screenshot(f"explore-hostile-table-{theme}")
    assert page.locator("tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_other_views_of_the_same_answer(visit: Visit, theme: str) -> None:
    opened = visit(theme)
    page = drawn(opened, "/graph?g0.expr=sum(rate(requests_total[5m]))&g0.range_input=1h")
    page.get_by_role("button", name="JSON", exact=True).click()
    assert '"resultType": "matrix"' in page.locator("pre.raw").inner_text()

    page.get_by_role("button", name="Explain", exact=True).click()
    page.wait_for_selector(".explain")
    opened.screenshot(f"explore-explain-{theme}")
    assert page.locator(".explain-node").count() >= 3
    assert "points decoded" in page.locator(".explain").inner_text()


def test_addresses_of_prometheus_2_are_understood(visit: Visit) -> None:
    opened = visit()
    page = opened.open("/graph?g0.expr=wave&g0.tab=1&g1.expr=up&g1.stacked=1&g1.tab=0")
    page.wait_for_selector("tbody tr")

    assert page.locator("tbody tr").count() == WAVES
    assert page.locator(".panel").count() == 2
    pressed = page.locator(".panel").nth(1).get_by_role("button", pressed=True).all_inner_texts()
    assert pressed == ["Graph", "Stacked"]


def test_what_moved_with_this(visit: Visit) -> None:
    opened = visit()
    page = drawn(opened, '/graph?g0.expr=wave{host="web-05"}&g0.range_input=1h')
    page.get_by_role("button", name="What moved with this?").click()
    page.wait_for_selector(".moved tbody tr")
    opened.screenshot("explore-moved")
    first = page.locator(".moved tbody tr").first

    assert "web-05" in first.inner_text()
    assert "1.000" in first.inner_text()
    first.get_by_role("button", name="Plot").click()
    assert page.locator(".panel").count() == 2


def test_a_refresh_asks_only_for_what_is_new(visit: Visit, served: Any) -> None:
    page = visit().page
    page.clock.install()
    opened = Opened(page, f"http://127.0.0.1:{served.port}")
    drawn(opened, "/graph?g0.expr=growing%20or%20wave&g0.range_input=10m")
    page.locator("canvas").first.evaluate("canvas => { canvas.dataset.mark = 'same' }")
    starts: list[float] = []
    page.on(
        "request",
        lambda request: (
            "/query_range" in request.url
            and starts.append(float(parse_qs(urlsplit(request.url).query)["start"][0]))
        ),
    )
    page.get_by_label("Refresh").select_option("5")
    for _ in range(4):
        with page.expect_response(re.compile("query_range")):
            page.clock.fast_forward(5_000)

    assert len(starts) >= 4
    assert min(starts) > time.time() - 60, "the first ten minutes were not asked for again"
    assert page.locator("canvas[data-mark=same]").count() == 1, "it is the chart that was there"


def test_ten_thousand_series_are_no_trouble(visit: Visit, served: Any) -> None:
    now = int(time.time() * 1000)
    many = (
        {
            "metric": {"__name__": "many", "n": f"{n:05}"},
            "values": [n, n],
            "timestamps": [now - 60_000, now],
        }
        for n in range(10_000)
    )
    send(served.port, many)
    opened = visit()
    page = drawn(opened, "/graph?g0.expr=many&g0.range_input=5m")
    opened.screenshot("explore-many")

    assert "1,000 of 10,000 series are drawn" in page.locator(".note").inner_text()
    assert page.locator(LEGEND).count() == 500
    page.locator(".legend input").fill('"00042"')
    page.wait_for_function(f"document.querySelectorAll('{LEGEND}').length === 1")
    assert page.locator(".note").count() == 0


def test_a_heavy_query_waits_to_be_allowed(visit: Visit) -> None:
    """A subquery of 864,000 steps and twenty series: a third of what may be held at once."""
    opened = visit()
    asked_for: list[str] = []
    opened.page.on("request", lambda request: asked_for.append(urlsplit(request.url).path))
    page = opened.open("/graph?g0.expr=max_over_time(wave[10d:1s])&g0.range_input=1m")
    notice = page.get_by_role("alert")
    notice.wait_for()
    opened.screenshot("explore-heavy")
    assert re.search(r"of 20 series, .*M values at once", notice.inner_text())
    assert "/api/v1/query_range" not in asked_for
    page.get_by_role("button", name="Run it all the same").click()
    page.wait_for_selector(LEGEND)
    assert "/api/v1/query_range" in asked_for
    assert notice.count() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/graph",
        "/graph?g0.expr=wave",
        "/graph?g0.expr=wave&g0.tab=table",
        "/graph?g0.expr=sum(wave)&g0.tab=explain",
    ],
)
def test_assistive_technology_finds_its_way(visit: Visit, theme: str, path: str) -> None:
    opened = visit(theme)
    page = opened.open(path)
    page.wait_for_selector(".metrics button, canvas, tbody tr, .explain")
    assert opened.serious() == []


def test_a_narrow_window_needs_no_sideways_scrolling(visit: Visit) -> None:
    opened = visit(width=390)
    page = drawn(opened, "/graph?g0.expr=wave&g0.range_input=1h")
    opened.screenshot("explore-narrow")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_theme_is_kept(visit: Visit) -> None:
    page = drawn(visit("light"), "/graph?g0.expr=wave")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: Auto").click()
    page.get_by_role("button", name="Theme: Light").click()
    dark = page.evaluate(ground)
    page.reload()

    assert dark != light
    assert page.evaluate(ground) == dark
