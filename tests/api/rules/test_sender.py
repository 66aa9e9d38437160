"""Alerts over HTTP: what an Alertmanager gets, and what happens while it does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from api.rules.alerting import Alert, State
from api.rules.group import Origin
from api.rules.sender import BATCH_ALERTS_MAX, Sender, checked_url, payload, rfc3339
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels


class Receiver(ThreadingHTTPServer):
    """Takes what is posted; answers `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.batches: list[tuple[str, list[Any]]] = []
        self.enough = threading.Event()
        self.alerts_wanted = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.batches.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()
        if sum(len(batch) for _, batch in self.server.batches) >= self.server.alerts_wanted:
            self.server.enough.set()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def firing() -> Alert:
    labels = Labels({"alertname": "Hot", "host": "a"})
    return Alert(
        labels, {"is": "hot"}, 2.0, 1_500, State.FIRING, fired_at=61_500, valid_until=301_500
    )


def test_payload() -> None:
    origin = Origin("http://here", (("cluster", "eu"), ("host", "not this")))
    assert payload(firing(), 'x{a="b"} > 1', origin) == {
        "startsAt": "1970-01-01T00:01:01.500Z",
        "endsAt": "1970-01-01T00:05:01.500Z",
        "generatorURL": "http://here/graph?g0.expr=x%7Ba%3D%22b%22%7D%20%3E%201&g0.tab=1",
        "labels": {"alertname": "Hot", "cluster": "eu", "host": "a"},
        "annotations": {"is": "hot"},
    }


def test_a_resolved_alert_says_when() -> None:
    alert = firing()
    alert.state, alert.resolved_at = State.INACTIVE, 90_000
    assert payload(alert, "x", Origin())["endsAt"] == rfc3339(90_000)


def test_all_alerts_arrive_in_batches(receiver: Receiver) -> None:
    receiver.alerts_wanted = BATCH_ALERTS_MAX + 1
    sender = Sender([receiver.url + "/"])
    sender.send([{"n": i} for i in range(BATCH_ALERTS_MAX + 1)])
    assert receiver.enough.wait(30)
    sender.close()
    assert {path for path, _ in receiver.batches} == {"/api/v2/alerts"}
    sent = [alert["n"] for _, batch in receiver.batches for alert in batch]
    assert sent == list(range(BATCH_ALERTS_MAX + 1))
    assert max(len(batch) for _, batch in receiver.batches) <= BATCH_ALERTS_MAX
    assert (sender.counts.sent, sender.counts.dropped) == (BATCH_ALERTS_MAX + 1, 0)


def test_one_of_two_is_enough(receiver: Receiver) -> None:
    sender = Sender(["http://127.0.0.1:1", receiver.url])
    sender.send([{"n": 1}])
    assert receiver.enough.wait(30)
    sender.close()
    assert (sender.counts.sent, sender.counts.dropped, sender.counts.errors) == (1, 0, 1)


def test_nobody_takes_them(receiver: Receiver) -> None:
    receiver.status = 500
    sender = Sender([receiver.url])
    sender.send([{"n": 1}])
    sender.close()
    assert (sender.counts.sent, sender.counts.dropped, sender.counts.errors) == (0, 1, 1)


def test_who_has_the_duty_no_more_sends_nothing(receiver: Receiver) -> None:
    sender = Sender([receiver.url], lambda: not receiver.enough.is_set())
    sender.send([{"n": 1}])
    assert receiver.enough.wait(30)
    sender.send([{"n": 2}])
    sender.close()
    assert [batch for _, batch in receiver.batches] == [[{"n": 1}]]
    assert (sender.counts.sent, sender.counts.dropped, sender.counts.errors) == (1, 1, 0)


def test_without_alertmanagers_nothing_waits() -> None:
    sender = Sender([])
    sender.send([{"n": 1}])
    sender.close()
    assert sender.counts.dropped == 0


@pytest.mark.parametrize("url", ["host:9093", "ftp://a", "http://", "file:///etc/passwd"])
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(InvalidInput, match="no address of an Alertmanager"):
        checked_url(url)
