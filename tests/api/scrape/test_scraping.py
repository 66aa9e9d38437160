"""Scraping end to end: a real server, real targets, read back over HTTP."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.exits import CommandFailed, Exit
from api.server import Server
from api.settings import load
from tsdb import limits

STALE = 0x7FF0000000000002
WAIT_S = 20.0
INTERVAL_MS = 200


class Scraping:
    """A server that scrapes, and what is in it."""

    def __init__(self, running: Any, path: Path) -> None:
        self.running = running
        self.path = path

    def config(self, text: str) -> None:
        self.path.write_text(text)

    def reload(self) -> Any:
        return self.running("POST", "/-/reload")

    def targets(self, query: str = "") -> Any:
        return self.running.get(f"/api/v1/targets{query}").json["data"]

    def points(self, selector: str) -> dict[str, list[tuple[int, int]]]:
        """(timestamp, bits of the value) by series, for all series that match."""
        found = self.running.database.select(selector, 0, 2**62)
        return {
            str(series.labels): [
                (int(t), struct.unpack("<Q", struct.pack("<d", v))[0])
                for t, v in zip(series.timestamps, series.values, strict=True)
            ]
            for series in found
        }

    def series(self, selector: str) -> list[tuple[int, float | str]]:
        """(timestamp, value or "stale") of the one series that matches, if there is one."""
        found = self.points(selector)
        assert len(found) <= 1, list(found)
        return [
            (t, "stale" if bits == STALE else struct.unpack("<d", struct.pack("<Q", bits))[0])
            for series in found.values()
            for t, bits in series
        ]

    def values(self, selector: str) -> list[float | str]:
        return [value for _, value in self.series(selector)]

    def check_unbroken(self, name: str, of: str = "") -> None:
        """No stale marker; unless the machine was so busy that a scrape failed."""
        assert "stale" not in self.values(name + of) or 0.0 in self.values("up" + of)

    def wait(self, check: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_S
        while not (found := check()):
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.01)
        return found

    def wait_for(self, selector: str, *values: float | str) -> None:
        """Until the last points of a series are these."""
        self.wait(lambda: tuple(self.values(selector)[-len(values) :]) == values)


def config_of(*addresses: str, extra: str = "", job: str = "j", interval: int = INTERVAL_MS) -> str:
    listed = ", ".join(f"'{address}'" for address in addresses)
    return (
        f"scrape_configs:\n- job_name: {job}\n  scrape_interval: {interval}ms\n{extra}"
        f"  static_configs:\n  - targets: [{listed}]\n"
    )


@pytest.fixture
def scraping(serve: Any, tmp_path: Path) -> Callable[[str], Any]:
    @contextmanager
    def start(config: str) -> Iterator[Scraping]:
        path = tmp_path / "scrape.yml"
        path.write_text(config)
        with serve(tmp_path / "db", scrape_config=path) as running:
            yield Scraping(running, path)

    return start


def test_a_scrape_that_ends_after_the_turn_is_not_written(
    scraping: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a node of a cluster that was suspended while it waited for the answer."""
    site.text = "a 1\n"
    with scraping(config_of(site.address)) as it:
        it.wait_for("up", 1.0, 1.0)
        monkeypatch.setattr(it.running.server.node, "has_duty", lambda: False)
        it.wait(lambda: "another node" in it.targets()["activeTargets"][0]["lastError"])
        kept = it.series("up")
        seen = len(site.paths)
        site.wait_for_requests(seen + 3)
        assert it.series("up") == kept
        monkeypatch.undo()
        it.wait(lambda: len(it.series("up")) > len(kept))
        assert "stale" not in it.values("a")


def test_a_target_is_scraped_and_told_about(scraping: Any, site: Any) -> None:
    site.text = (
        "# HELP metric_a Help of a.\n# TYPE metric_a gauge\n"
        'metric_a{x="1",job="mine"} 1.5\nmetric_a{x="2"} NaN\ngo_x 3\n'
    )
    extra = (
        "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: go_.*, action: drop}\n"
        "  relabel_configs:\n  - {target_label: zone, replacement: eu}\n"
    )
    with scraping(config_of(site.address, extra=extra)) as it:
        site.wait_for_requests(3)
        it.wait_for("up", 1.0, 1.0)
        found = it.points('{job="j"}')
        labels = f'instance="{site.address}", job="j"'
        assert f'metric_a{{exported_job="mine", {labels}, x="1", zone="eu"}}' in found
        assert not [name for name in found if name.startswith("go_")]
        a, up = it.series('metric_a{x="1"}'), it.series("up")  # scraped meanwhile: up is longer
        assert [t for t, _ in a] == [t for t, _ in up][: len(a)]
        steps = [late - early for (early, _), (late, _) in pairwise(up)]
        assert min(steps) > 0
        assert it.values("scrape_samples_scraped")[0] == 3
        assert it.values("scrape_samples_post_metric_relabeling")[0] == 2
        assert it.values("scrape_series_added")[:2] == [2, 0]
        assert 0 < it.values("scrape_duration_seconds")[0] < 5  # type: ignore[operator]

        one = it.targets()["activeTargets"][0]
        assert one["labels"] == {"instance": site.address, "job": "j", "zone": "eu"}
        assert one["discoveredLabels"]["__address__"] == site.address
        assert (one["health"], one["lastError"], one["scrapePool"]) == ("up", "", "j")
        assert (one["scrapeInterval"], one["scrapeTimeout"]) == ("200ms", "200ms")
        assert one["scrapeUrl"] == f"http://{site.address}/metrics"
        assert one["lastScrape"].startswith("20")
        figures = it.running.get("/metrics").body.decode()
        assert 'silverback_scrape_targets{health="up"} 1.0' in figures
        assert "silverback_scrapes_failed_total 0.0" in figures
        pools = it.running.get("/api/v1/scrape_pools").json["data"]
        assert pools == {"scrapePools": ["j"]}
        told = it.running.get("/api/v1/targets/metadata").json["data"]
        assert [(m["metric"], m["type"]) for m in told] == [("metric_a", "gauge")]
        of_others = quote('{job="x"}')
        told = it.running.get(f"/api/v1/targets/metadata?match_target={of_others}")
        assert told.json["data"] == []


def test_series_that_vanish_get_a_stale_marker(scraping: Any, site: Any) -> None:
    site.text = "a 1\nb 2\n"
    with scraping(config_of(site.address)) as it:
        it.wait_for("b", 2.0)
        site.text = "a 1\n"
        it.wait_for("b", 2.0, "stale")
        gone_at = it.series("b")[-1][0]
        assert gone_at in [t for t, _ in it.series("up")]
        it.wait(lambda: it.series("a")[-1][0] > gone_at)
        site.text = "a 1\nb 3\n"
        it.wait_for("b", 2.0, "stale", 3.0)
        it.check_unbroken("a")


GZIP_CUT_OFF = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 4\r\n\r\nnope"
)
FAILURES: list[tuple[str, dict[str, Any]]] = [
    ("server returned HTTP status 500", {"status": 500}),
    ("no answer within 0.2 s", {"delay_s": 0.5}),
    ("no answer within 0.2 s", {"text": "a 1\n" * 100, "drip_s": 0.01}),
    ("line 2", {"text": "a 1\n{{{ nonsense\n"}),
    ("body_size_limit exceeded", {"text": "a 1\n" + "# x\n" * 400}),
    ("sample_limit exceeded", {"text": "".join(f"a{i} 1\n" for i in range(6))}),
    ("Content-Type", {"content_type": "text/html"}),
    ("compressed body is cut off", {"raw": GZIP_CUT_OFF}),
]  # fmt: skip


def test_a_failed_scrape_makes_everything_stale(scraping: Any, site: Any) -> None:
    """And the next good one goes on; up, the times and the counts are there all the while."""
    extra = "  body_size_limit: 1KB\n  sample_limit: 5\n"
    good = {"text": "a 1\n", "status": 200, "delay_s": 0.0, "drip_s": 0.0, "raw": b"",
            "content_type": site.content_type}  # fmt: skip
    with scraping(config_of(site.address, extra=extra)) as it:
        for said, changes in FAILURES:
            for name, value in (good | {"text": "a 1\nown_time 5 1700000000000\n"}).items():
                setattr(site, name, value)
            it.wait_for("up", 1.0)
            it.wait_for("a", 1.0)
            for name, value in changes.items():
                setattr(site, name, value)
            it.wait_for("up", 0.0)
            it.wait_for("a", 1.0, "stale")
            assert it.wait(lambda: it.targets()["activeTargets"][0]["lastError"]), said
            it.wait(lambda said=said: said in it.targets()["activeTargets"][0]["lastError"])
            assert it.targets()["activeTargets"][0]["health"] == "down"
        assert it.values("own_time") == [5.0]
        assert not it.points('{__name__=~"a[0-9]"}')
        assert it.values("scrape_sample_limit")[0] == 5.0
        assert it.values("scrape_timeout_seconds")[0] == 0.2
        bodies = it.values("scrape_body_size_bytes")
        assert {-1.0, 30.0} <= set(bodies)
        assert max(it.values("scrape_samples_scraped")) == 6.0  # type: ignore[type-var]
        times = [t for t, _ in it.series("up")]
        assert times == [t for t, _ in it.series("scrape_duration_seconds")]


def test_a_target_that_leaves_ends_its_series(
    scraping: Any, open_sites: Any, tmp_path: Path
) -> None:
    """Its reports too. One that stays is scraped on, by the same connection."""
    stays, leaves = open_sites(), open_sites()
    listed = tmp_path / "targets.json"
    listed.write_text(json.dumps([{"targets": [stays.address, leaves.address]}]))
    config = (
        "scrape_configs:\n- job_name: j\n  scrape_interval: 200ms\n"
        "  file_sd_configs: [{files: ['targets.json'], refresh_interval: 50ms}]\n"
    )
    with scraping(config) as it:
        mine = f'{{instance="{leaves.address}"}}'
        it.wait_for("up" + mine, 1.0)
        (tmp_path / "next.json").write_text(json.dumps([{"targets": [stays.address]}]))
        (tmp_path / "next.json").replace(listed)
        it.wait(lambda: len(it.targets()["activeTargets"]) == 1)
        for name in ("metric_a", "up", "scrape_duration_seconds", "scrape_series_added"):
            it.wait_for(name + mine, "stale")
        asked = len(leaves.requests)
        there = f'{{instance="{stays.address}"}}'
        before = len(it.values("up" + there))
        it.wait(lambda: len(it.values("up" + there)) > before + 2)
        assert len(leaves.requests) == asked
        assert stays.connections == 1
        it.check_unbroken("metric_a", there)


def test_a_target_that_comes_back_in_time_is_not_ended(scraping: Any, site: Any) -> None:
    with scraping(config_of(site.address)) as it:
        it.wait_for("up", 1.0)
        it.config("scrape_configs:\n" + config_of(job="j").partition("\n")[2])
        assert it.reload().status == 200
        assert it.targets()["activeTargets"] == []
        it.config(config_of(site.address))
        assert it.reload().json == {"status": "success", "reloaded": True}
        asked = len(site.requests)
        site.wait_for_requests(asked + 4)
        it.check_unbroken("metric_a")


def test_reloading_keeps_what_stays(scraping: Any, open_sites: Any) -> None:
    old, new = open_sites(), open_sites()
    old.text = new.text = "a 1\nb 2\n"
    with scraping(config_of(old.address)) as it:
        it.wait_for(f'b{{instance="{old.address}"}}', 2.0)

        it.config("scrape_configs:\n- job_name: x\n  colour: red\n")
        refused = it.reload()
        assert refused.status == 400
        assert "line 3: unknown key 'colour'" in refused.json["error"]
        assert len(it.targets()["activeTargets"]) == 1

        rules = (
            "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: b, action: drop}\n"
        )
        it.config(config_of(old.address, new.address, extra=rules))
        assert it.reload().status == 200
        it.wait_for(f'a{{instance="{new.address}"}}', 1.0)
        it.wait_for(f'b{{instance="{old.address}"}}', 2.0, "stale")
        it.check_unbroken("a", f'{{instance="{old.address}"}}')
        assert old.connections <= 2
        assert not it.points(f'b{{instance="{new.address}"}}')


def test_another_interval_takes_hold_at_once(scraping: Any, site: Any) -> None:
    with scraping(config_of(site.address, interval=3_600_000)) as it:
        it.wait(lambda: it.targets()["activeTargets"])
        assert it.targets()["activeTargets"][0]["health"] == "unknown"
        assert it.targets()["activeTargets"][0]["lastScrape"] == "0001-01-01T00:00:00Z"
        it.config(config_of(site.address, interval=100))
        assert it.reload().status == 200
        it.wait_for("up", 1.0, 1.0, 1.0)


def test_points_with_timestamps_of_their_own(scraping: Any, site: Any) -> None:
    now = int(time.time() * 1000)
    site.text = f"a 1 {now - 5000}\nb 1\n"
    with scraping(config_of(site.address)) as it:
        it.wait_for("b", 1.0)
        assert it.series("a") == [(now - 5000, 1.0)]
        it.config(config_of(site.address, extra="  honor_timestamps: false\n"))
        assert it.reload().status == 200
        it.wait(lambda: len(it.series("a")) > 1)
        site.text = "b 1\n"
        it.wait_for("a", 1.0, "stale")
        it.config(config_of(site.address, extra="  track_timestamps_staleness: true\n"))
        assert it.reload().status == 200
        site.text = f"c 1 {now - 5000}\nb 1\n"
        it.wait_for("c", 1.0)
        site.text = "b 1\n"
        it.wait_for("c", 1.0, "stale")


def test_too_many_targets_are_none(scraping: Any, open_sites: Any) -> None:
    sites = [open_sites(), open_sites()]
    addresses = [site.address for site in sites]
    with scraping(config_of(*addresses, extra="  target_limit: 1\n")) as it:
        it.wait(lambda: len(it.points("up")) == 2)
        assert {bits for found in it.points("up").values() for _, bits in found} == {0}
        errors = [one["lastError"] for one in it.targets()["activeTargets"]]
        assert all("target_limit exceeded: 2 targets (limit 1)" in error for error in errors)
        assert not sites[0].requests


def test_dropped_targets_are_listed(scraping: Any, site: Any) -> None:
    extra = (
        "  keep_dropped_targets: 1\n  relabel_configs:\n"
        "  - {source_labels: [__address__], regex: '127.*', action: keep}\n"
    )
    with scraping(config_of(site.address, "h1:1", "h2:1", extra=extra)) as it:
        it.wait(lambda: it.targets()["activeTargets"])
        found = it.targets()
        assert len(found["activeTargets"]) == 1
        assert [one["discoveredLabels"]["__address__"] for one in found["droppedTargets"]] == [
            "h1:1"
        ]
        assert found["droppedTargetCounts"] == {"j": 2}
        assert it.targets("?state=active")["droppedTargets"] == []
        assert it.targets("?state=dropped")["activeTargets"] == []
        assert it.targets("?scrapePool=x")["activeTargets"] == []
        assert it.running.get("/api/v1/targets?state=odd").status == 400


def test_a_wrong_file_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "scrape.yml"
    path.write_text("scrape_configs:\n- job_name: x\n  scrape_intervall: 1s\n")
    settings = load({"data": tmp_path / "db", "port": 0, "scrape_config": path}, environ={})
    with pytest.raises(CommandFailed, match="line 3: unknown key 'scrape_intervall'") as caught:
        Server(settings)
    assert caught.value.code is Exit.CONFIG


def test_without_a_configuration_there_is_nothing(server: Any) -> None:
    assert server.get("/api/v1/targets").json["data"]["activeTargets"] == []
    assert server("POST", "/-/reload").json == {"status": "success", "reloaded": False}


def test_what_the_database_does_not_take_is_a_failed_scrape(
    scraping: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here more points than a request may have; all or nothing, and up says so."""
    monkeypatch.setattr(limits, "POINTS_PER_REQUEST_MAX", 20)
    site.text = "a 1\n"
    with scraping(config_of(site.address)) as it:
        it.wait_for("a", 1.0)
        site.text = "".join(f"a{i} 1\n" for i in range(20))
        it.wait_for("up", 0.0)
        it.wait_for("a", 1.0, "stale")
        assert "POINTS_PER_REQUEST_MAX" in it.targets()["activeTargets"][0]["lastError"]
        assert not it.points('{__name__=~"a[0-9]+"}')
        site.text = "a 2\n"
        it.wait_for("a", 1.0, "stale", 2.0)


def test_series_beyond_the_databases_bound_are_left_out(
    serve: Any, site: Any, tmp_path: Path
) -> None:
    path = tmp_path / "scrape.yml"
    path.write_text(config_of(site.address))
    site.text = "a 1\nb 2\n" + f'c{{x="{"x" * 5000}"}} 3\n'
    with serve(tmp_path / "db", scrape_config=path, series_max=6) as running:
        it = Scraping(running, path)
        it.wait_for("up", 1.0)
        assert len(it.points('{job="j"}')) == 6
        figures = running.get("/metrics").body.decode()
        assert "silverback_scrape_points_refused_total 2.0" in figures or (
            "silverback_scrape_points_refused_total 3.0" in figures
        )


def test_openmetrics_with_what_it_says_beside_points(scraping: Any, site: Any) -> None:
    """Metadata and exemplars are stored too, under the labels that the series has here."""
    site.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    site.compressed = True
    site.text = (
        "# TYPE hits counter\n# HELP hits Hits.\n"
        'hits_total{code="200"} 7 # {trace_id="abc"} 0.5\n# EOF\n'
    )
    with scraping(config_of(site.address)) as it:
        it.wait_for("hits_total", 7.0)
        told = it.running.get("/api/v1/metadata").json["data"]
        assert told["hits"] == [{"type": "counter", "help": "Hits.", "unit": ""}]
        asked = f"/api/v1/query_exemplars?query=hits_total&start=0&end={int(time.time()) + 60}"
        [found] = it.running.get(asked).json["data"]
        assert found["seriesLabels"] == {
            "__name__": "hits_total", "code": "200", "instance": site.address, "job": "j",
        }  # fmt: skip
        assert found["exemplars"][0]["labels"] == {"trace_id": "abc"}
        site.text = 'hits_total{code="200"} 8\n'  # cut off: no # EOF
        it.wait_for("hits_total", "stale")
        assert "# EOF" in it.targets()["activeTargets"][0]["lastError"]
