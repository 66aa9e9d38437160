"""Prometheus as the oracle: the same file, the same targets, the same series and target lists."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from clients.binaries import need

BODY = """\
# HELP http_requests Requests.
# TYPE http_requests counter
http_requests{code="200",method="GET",job="mine",instance="me"} 7
http_requests{code="500",method="POST",exported_job="theirs",job="mine"} 1
# TYPE lat histogram
lat_bucket{le="0.5"} 1
lat_bucket{le="1"} 2
lat_bucket{le="1234567"} 2
lat_bucket{le="0.00002"} 2
lat_bucket{le="+Inf"} 3
lat_sum 1.5
lat_count 3
# TYPE sum summary
sum{quantile="0.5"} 1
sum{quantile="1"} 2
sum_sum 3
sum_count 2
go_threads 4
plain 1e3
empty_label{a="",b="x"} 1
utf{path="/ä/\\"q\\"\\\\n",nl="a\\nb"} 1
"""
JOBS = """\
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
- job_name: plain
  static_configs: [{{targets: ['{at}'], labels: {{env: prod, __tmp_x: gone}}}}]
- job_name: honor
  honor_labels: true
  static_configs: [{{targets: ['{at}']}}]
- job_name: params
  metrics_path: /a b/metrics
  params: {{module: [x, 'y z'], target: [t]}}
  static_configs: [{{targets: ['{at}', '{at}'], labels: {{__param_target: 'other&'}}}}]
- job_name: rules
  static_configs:
  - targets: ['{at}', 'drop.me:1', 'keep.not:2']
    labels: {{team: A-Team, region: eu-west, __meta_shop: s1, port: '1'}}
  relabel_configs:
  - {{source_labels: [__address__], regex: 'drop.*', action: drop}}
  - {{source_labels: [__address__], regex: '127.*', action: keep}}
  - {{regex: '__meta_(.+)', replacement: 'sd_${{1}}', action: labelmap}}
  - {{source_labels: [team], target_label: team, action: lowercase}}
  - {{source_labels: [region, team], separator: '/', regex: '(\\w+)-(\\w+)/(.*)',
      target_label: '${{1}}_area', replacement: '$2-$3'}}
  - {{source_labels: [__address__], modulus: 17, target_label: shard, action: hashmod}}
  - {{source_labels: [port], target_label: port, replacement: ''}}
  - {{source_labels: [__address__], regex: '([^:]+):(\\d+)', target_label: instance,
      replacement: 'host-$1x'}}
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: 'go_.*', action: drop}}
  - {{source_labels: [__name__, code], regex: 'http_requests;(2)..', target_label: class,
      replacement: '${{1}}xx'}}
  - {{source_labels: [__name__], regex: '(lat)_(.*)', target_label: __name__,
      replacement: 'latency_${{2}}'}}
  - {{regex: 'method|exported_.*', action: labeldrop}}
  - {{source_labels: [le], target_label: le_upper, action: uppercase}}
- job_name: limited
  sample_limit: 3
  static_configs: [{{targets: ['{at}']}}]
- job_name: nobody
  static_configs: [{{targets: ['127.0.0.1:1']}}]
"""
OWN = {"globalUrl", "lastScrape", "lastScrapeDuration", "lastError"}  # differ by time or wording


class Target(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = BODY.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def target() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def running_prometheus(folder: Path, config: Path) -> Iterator[str]:
    program = need("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    log = (folder / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}",
         f"--web.listen-address={url.removeprefix('http://')}"],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield url
    finally:
        process.kill()
        process.wait()
        log.close()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["data"]


def wait_for_targets(url: str) -> Any:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            found = get(f"{url}/api/v1/targets")
            if found["activeTargets"] and all(
                one["health"] != "unknown" for one in found["activeTargets"]
            ):
                return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def targets_of(found: Any) -> list[Any]:
    active = [{k: v for k, v in one.items() if k not in OWN} for one in found["activeTargets"]]
    return sorted(active, key=lambda one: json.dumps(one, sort_keys=True))


def dropped_of(found: Any) -> list[Any]:
    return sorted(json.dumps(one, sort_keys=True) for one in found["droppedTargets"])


def test_the_same_series_and_targets(silverback: Any, tmp_path: Path, target: str) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(JOBS.format(at=target))
    with (
        running_prometheus(tmp_path, config) as url,
        silverback(tmp_path, "--scrape-config", str(config)) as server,
    ):
        theirs, ours = wait_for_targets(url), wait_for_targets(server.url)
        assert targets_of(ours) == targets_of(theirs)
        assert dropped_of(ours) == dropped_of(theirs)
        assert ours["droppedTargetCounts"] == theirs["droppedTargetCounts"]
        assert set(ours["activeTargets"][0]) == set(theirs["activeTargets"][0])

        selector = urllib.parse.quote('{__name__=~".+"}')
        series = get(f"{url}/api/v1/series?match[]={selector}")
        expected = {json.dumps(one, sort_keys=True) for one in series}
        stored = server.series('{__name__=~".+"}')
        # One more of ours, as a limit is set; Prometheus needs a flag for those.
        extra = {n for n in stored if '"limited"' in n and ("_limit" in n or "_timeout" in n)}
        assert set(stored) - extra == expected
        assert len(expected) > 60

        of_one = "match_target=" + urllib.parse.quote('{job="plain"}')
        told, own = (get(f"{at}/api/v1/targets/metadata?{of_one}") for at in (url, server.url))
        assert {(m["metric"], m["type"], m["help"]) for m in own} == {
            (m["metric"], m["type"], m["help"]) for m in told
        }
