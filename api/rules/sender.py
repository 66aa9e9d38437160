"""Alerts on their way to Alertmanagers: `POST /api/v2/alerts`, to each of them.

    in   alerts of an evaluation
    out  requests in the background; counts of what was sent and what was dropped

A full queue drops the oldest: a firing alert is told again at the next resend, and its `endsAt`
keeps it firing meanwhile. One Alertmanager that takes a batch is enough; the others are logged.
Of a cluster the node whose turn is over sends nothing more: the next one tells of what it finds.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Condition, Thread
from urllib.parse import quote, urlsplit

import orjson

from api.duty import Duty, alone
from api.logs import LOG
from api.rules.alerting import Alert
from api.rules.group import Origin
from tsdb.errors import InvalidInput

__all__ = ["Sender", "checked_url", "payload"]

QUEUE_ALERTS_MAX = 10_000
BATCH_ALERTS_MAX = 256
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Counts:
    sent: int = 0
    dropped: int = 0
    errors: int = 0


def checked_url(url: str) -> str:
    """An Alertmanager's address, without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput(f"{url!r} is no address of an Alertmanager, such as http://host:9093")
    return url.rstrip("/")


def payload(alert: Alert, expression: str, origin: Origin) -> dict[str, object]:
    """An alert as Alertmanager's API takes it, as it is now."""
    ends = alert.resolved_at or alert.valid_until
    return {
        "startsAt": rfc3339(alert.fired_at or alert.active_at),
        "endsAt": rfc3339(ends),
        "generatorURL": (
            f"{origin.external_url}/graph?g0.expr={quote(expression, safe='')}&g0.tab=1"
        ),
        "labels": dict(origin.external_labels) | dict(alert.labels),
        "annotations": dict(alert.annotations),
    }


def rfc3339(moment: int) -> str:
    """A moment in ms as UTC."""
    whole = datetime.fromtimestamp(moment // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}Z"


class Sender:
    """A queue and one thread that empties it."""

    def __init__(self, urls: Iterable[str], has_duty: Duty = alone) -> None:
        self.urls = tuple(checked_url(url) for url in urls)
        self._has_duty = has_duty
        self.counts = Counts()
        self._waiting: deque[dict[str, object]] = deque()
        self._news = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="alerts", daemon=True)
        if self.urls:
            self._thread.start()

    def send(self, alerts: Iterable[dict[str, object]]) -> None:
        """Queue alerts made by `payload`. Returns at once."""
        if not self.urls:
            return
        with self._news:
            for alert in alerts:
                if len(self._waiting) >= QUEUE_ALERTS_MAX:
                    self._waiting.popleft()
                    self.counts.dropped += 1
                self._waiting.append(alert)
            self._news.notify()

    def close(self) -> None:
        """What waits is sent once more, then the thread ends."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                size = min(BATCH_ALERTS_MAX, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(size)]
            body = orjson.dumps(batch)
            took = [self._has_duty() and self._post(url, body) for url in self.urls]
            if any(took):
                self.counts.sent += size
            else:
                self.counts.dropped += size

    def _post(self, url: str, body: bytes) -> bool:
        request = urllib.request.Request(
            f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                return True
        except (urllib.error.URLError, OSError) as error:
            self.counts.errors += 1
            LOG.warning("alerts_not_sent", to=url, error=str(error))
            return False
