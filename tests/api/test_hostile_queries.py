"""Queries that are meant to hurt, to a real server in a process of its own.

Each is refused with a reason, or answered; none ends the process, makes it decode what the
refusal does not need, or keeps a writer waiting that writes all the while.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

import tsdb
from api.node import POINT_BYTES, READ_THREADS
from benchmarks import serving

FORM = "application/x-www-form-urlencoded"
SERIES, POINTS, T = 120, 16_000, 1_700_000_000
WAIT_S = 60
MEMORY_MIB, RSS_MAX = 256, 3 << 29
READABLE = (MEMORY_MIB << 20) // 4 // READ_THREADS // POINT_BYTES
YEARS = {"start": str(T), "end": str(T + 10 * 365 * 86_400)}


@dataclass
class Target:
    """A server, and what was written to it meanwhile."""

    server: serving.Server
    written: int = 0
    failures: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def ask(
        self, path: str, body: bytes | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, Any]]:
        wire = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        try:
            headers = {} if body is None else {"Content-Type": FORM}
            wire.request(method if body is None else "POST", path, body, headers)
            answer = wire.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            wire.close()

    def query(self, text: str | bytes, **more: str) -> tuple[int, dict[str, Any]]:
        """At one moment; with `start`, over a range."""
        path = "/api/v1/query_range" if "start" in more else "/api/v1/query"
        parameters = {"query": text, **(more or {"time": str(T)})}
        return self.ask(path, urlencode(parameters).encode())

    def decoded(self) -> float:
        lines = self.server.get("/metrics").decode().splitlines()
        (line,) = (one for one in lines if one.startswith("silverback_points_decoded_total "))
        return float(line.split()[1])

    def write_all_the_while(self) -> None:
        for number in itertools.count():
            if self.done.is_set():
                return
            line = f'written{{by="meanwhile"}} {number} {(T + number) * 1000}\n'.encode()
            wire = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
            try:
                wire.request("POST", "/api/v1/import/prometheus", line)
                status = wire.getresponse().status
            except OSError as error:
                self.failures.append(repr(error))
                return
            finally:
                wire.close()
            if status // 100 != 2:
                self.failures.append(str(status))
            self.written += 1
            self.done.wait(0.02)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("hostile")
    stamps = (T + np.arange(POINTS)) * 1000
    with tsdb.open(folder / "db") as database:
        names = [f'm{{s="{i}",group="{i % 7}"}}' for i in range(SERIES)]
        for part in np.split(stamps, 2):
            database.write_many(names, [part] * SERIES, [part % 1000.0] * SERIES)
        database.flush()
    # 1.92 million points are there; a query may read READABLE.
    server = serving.start(folder / "db", arguments=("--memory-limit", f"{MEMORY_MIB}MiB"))
    target = Target(server)
    writer = threading.Thread(target=target.write_all_the_while)
    writer.start()
    try:
        yield target
        target.done.set()
        writer.join(WAIT_S)
        assert not target.failures
        status, found = target.query("count_over_time(written[1d])", time=str(T + 3600))
        assert status == 200
        assert found["data"]["result"][0]["value"][1] == str(target.written)
        assert server.process.poll() is None, "the process that began is the one that ends"
    finally:
        target.done.set()
        server.stop()


BOMB = "(" * 400 + "a" + "*)" * 400
LATE = "a" * 1500 + "[xy]+"
REFUSED: dict[str, tuple[str | bytes, dict[str, str], str]] = {
    # what: query, parameters, words of the refusal
    "parentheses": ("(" * 20_000 + "1" + ")" * 20_000, {}, "QUERY_DEPTH_MAX"),
    "open parentheses": ("(" * 20_000, {}, "QUERY_DEPTH_MAX"),
    "closing parentheses": (")" * 20_000, {}, "QUERY_TOKENS_MAX"),
    "calls": ("abs(" * 16_000 + "m" + ")" * 16_000, {}, "QUERY_BYTES_MAX"),
    "fewer calls": ("abs(" * 10_000 + "m" + ")" * 10_000, {}, "QUERY_DEPTH_MAX"),
    "braces": ("{" * 20_000, {}, "QUERY_DEPTH_MAX"),
    "brackets": ("m" + "[" * 20_000, {}, ""),
    "1 MiB": ("m+" * (1 << 19) + "m", {}, "FORM_BYTES_MAX"),
    "more than 64 KiB": ("m" * (70 << 10), {}, "QUERY_BYTES_MAX"),
    "a sum": ("+".join(["1"] * 20_000), {}, "QUERY_OPERATORS_MAX"),
    "a sum of selectors": ("+".join(["m"] * 20_000), {}, "QUERY_OPERATORS_MAX"),
    "powers": ("^".join(["2"] * 20_000), {}, "QUERY_OPERATORS_MAX"),
    "or": (" or ".join(["m"] * 10_000), {}, "QUERY_OPERATORS_MAX"),
    "comparisons": ("==bool ".join(["1"] * 5_000), {}, "QUERY_OPERATORS_MAX"),
    "signs": ("-" * 10_000 + "m", {}, "QUERY_OPERATORS_MAX"),
    "mixed signs": ("+-" * 10_000 + "1", {}, "QUERY_OPERATORS_MAX"),
    "commas": ("label_join(m,'a','b'" + ",'c'" * 15_000 + ")", {}, "QUERY_TOKENS_MAX"),
    "labels of by": ("sum by (" + ",".join(["a"] * 10_000) + ") (m)", {}, "QUERY_TOKENS_MAX"),
    "matchers": ("m{" + ",".join(['a="1"'] * 9_000) + "}", {}, "QUERY_TOKENS_MAX"),
    "10,000 matchers": ("m{" + ",".join(["a='1'"] * 10_000) + "}", {}, "QUERY_"),
    "a regex of stars": (f'm{{s=~"{BOMB}"}}', {}, "REGEX_BYTES_MAX"),
    "a long regex": (f'm{{s=~"{LATE}"}}', {}, "REGEX_BYTES_MAX"),
    "a long regex that is negated": (f'm{{s!~"{LATE}"}}', {}, "REGEX_BYTES_MAX"),
    "a long regex of label_replace": (
        f'label_replace(m, "a", "$1", "s", "{LATE}")', {}, "REGEX_BYTES_MAX"),
    "repetitions of repetitions": ('m{s=~"((a{100}){100}){100}"}', {}, "regex"),
    "a repetition of 1001": ('m{s=~"a{1001}"}', {}, "regex"),
    "a long value": (f'm{{s="{"v" * 20_000}"}}', {}, "SELECTOR_BYTES_MAX"),
    "@ 1e30": ("m @ 1e30", {}, "timestamp out of bounds"),
    "@ -1e30": ("m @ -1e30", {}, "timestamp out of bounds"),
    "@ Inf": ("m @ Inf", {}, "timestamp out of bounds"),
    "@ NaN": ("m @ NaN", {}, "timestamp out of bounds"),
    "offset 1e30": ("m offset 1e30", {}, "duration out of range"),
    "a range beyond all time": ("rate(m[999999999999y])", {}, "duration out of range"),
    "a number of 10,000 digits": ("9" * 10_000, {}, "out of range"),
    "a hexadecimal number": ("0x" + "f" * 10_000, {}, "out of range"),
    "a duration of 10,000 digits": ("m[" + "9" * 10_000 + "s]", {}, "duration"),
    "an exponent": ("1e" + "9" * 10_000, {}, "out of range"),
    "invalid UTF-8": (b"m{s=\"\xff\xfe\"}", {}, "UTF-8"),
    "a surrogate": (b"m{s=\"\xed\xa0\x80\"}", {}, "UTF-8"),
    "NUL": ("m\x00", {}, "unexpected"),
    "NUL in front": ("\x00" * 100, {}, "unexpected"),
    "an open string": ('m{s="' + "\\" * 9_999, {}, ""),
    "a mad escape": ('m{s="\\U99999999"}', {}, ""),
    "1 ms over ten years": ("m", {**YEARS, "step": "0.001"}, "11,000"),
    "less than 1 ms": ("m", {**YEARS, "step": "1e-300"}, "step"),
    "steps without end": ("m", {**YEARS, "step": "Inf"}, "step"),
    "a step of NaN": ("m", {**YEARS, "step": "NaN"}, "step"),
    "a negative step": ("m", {**YEARS, "step": "-1"}, "step"),
    "a time of 1e30": ("m", {"time": "1e30"}, "timestamp"),
    "a time of 5,000 digits": ("m", {"time": "9" * 5_000}, "timestamp"),
    "a limit of 5,000 digits": ("m", {"limit": "9" * 5_000}, "limit"),
    "a limit below zero": ("m", {"limit": "-" + "9" * 5_000}, "limit"),
    "a timeout of 5,000 digits": ("m", {"timeout": "9" * 5_000 + "s"}, "timeout"),
    "a step of 100,000 digits": ("m", {**YEARS, "step": "9" * 100_000 + "x"}, "step"),
    "a start of 100,000 digits": ("m", {**YEARS, "start": "9" * 100_000 + "x"}, "start"),
    "a time of 100,000 digits": ("m", {"time": "9" * 100_000 + "-"}, "time"),
    "a look-back of 5,000 digits": ("m", {"lookback_delta": "9" * 5_000 + "y"}, "duration"),
    "a subquery of too many steps": (
        "max_over_time(max_over_time(m[100y:1ms])[100y:1ms])", {}, "QUERY_CELLS_MAX"),
    "a deep subquery": ("max_over_time(" * 20 + "m" + "[10y:1s])" * 20, {}, "QUERY_CELLS_MAX"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_any_work(target: Target, what: str) -> None:
    text, parameters, words = REFUSED[what]
    target.query("1")  # whatever is loaded late is loaded
    before, began = target.decoded(), time.perf_counter()
    status, found = target.query(text, **parameters)
    print(f"{what}: {status} after {(time.perf_counter() - began) * 1000:.1f} ms")

    assert status in {400, 413, 422}, found
    assert found["status"] == "error"
    assert words in found["error"], found
    assert len(found["error"]) < 2_000
    assert target.decoded() == before, "points were decoded for a refusal"
    assert target.server.process.poll() is None


def nested(opening: str, inner: str, closing: str, depth: int) -> str:
    return opening * depth + inner + closing * depth


HEAVY = {
    "a label that doubles": nested("label_replace(", "m", ', "b", "${1}${1}x", "b", "(.*)")', 50),
    "a label that grows tenfold": nested(
        "label_join(", 'label_replace(m, "b", "0123456789", "", "")',
        ', "b", ""' + ', "b"' * 10 + ")", 30),
    "one label of many groups": f'label_replace(m, "b", "{"$1" * 9_000}", "s", "(.*)")',
    "values as labels": 'count_values("v", {__name__=~".+"})',
    "values of labels of values": nested('count_values("v", ', "m", ")", 50),
    "all with all": "count(m * on (group) group_left m)",
    "every sum": "+".join(["sum(m)"] * 400),
    "other selectors": " or ".join(f'm{{s!="{i}"}}' for i in range(400)),
    "sixty regexes": "m{" + ",".join([f's=~"(x|{"(.*)?" * 150}){i}?.*"' for i in range(60)]) + "}",
    "a regex that backtracks elsewhere": 'm{s=~"(.*.*.*.*)*(x+x+)+y"}',
    "large repetitions": 'm{s=~"' + "(a{0,30}){0,30}" * 20 + '"}',
    "wide subqueries": "max_over_time(" * 3 + "m" + "[1h:1s])" * 3,
    "a long subquery": "count_over_time(m[1y:1s])",
    "all topk": 'topk(1e300, {__name__=~".+"})',
    "not a topk": "topk(NaN, m)",
    "huge arguments": "day_of_month(m * 1e300) + round(m, 1e-320) ^ 1e308 % 0 + year(m * -1e300)",
    "predictions": "predict_linear(m[5m], 1e308)",
    "quantiles": "quantile_over_time(-1e308, m[2h]) + quantile(1e308, m)",
    "offsets": "m offset 290y + m offset -290y + m @ 9223372036854775",
    "endless names": f'label_replace(m, "{"n" * 20_000}", "1", "", "")',
}  # fmt: skip


@pytest.mark.parametrize("what", HEAVY)
@pytest.mark.parametrize(
    "span",
    [
        {},
        pytest.param(
            {"start": str(T), "end": str(T + 7_999), "step": "60"}, marks=pytest.mark.slow
        ),
    ],
)
def test_heavy_ones_are_answered_or_refused(
    target: Target, what: str, span: dict[str, str]
) -> None:
    before, began = target.decoded(), time.perf_counter()
    status, found = target.query(HEAVY[what], **span)
    took_s = time.perf_counter() - began
    decoded = target.decoded() - before
    print(f"{what}: {status} after {took_s * 1000:.1f} ms, {decoded:,.0f} points")

    assert status in {200, 400, 422, 503}, found
    if status != 200:
        assert len(found["error"]) < 2_000
    assert target.server.process.poll() is None
    assert target.server.peak_rss_bytes() < RSS_MAX


def test_all_series_and_all_time_twenty_times_at_once(target: Target) -> None:
    """Too many points for the memory there is; each reads what it may and a block, at most."""
    assert READABLE < SERIES * POINTS
    before = target.decoded()
    with ThreadPoolExecutor(20) as clients:
        jobs = [
            clients.submit(target.query, query, time=str(T + 17_000))
            for query in ['{__name__=~".+"}[10y]', 'count_over_time({__name__!=""}[100y])'] * 10
        ]
        status, _ = target.query("1+1")  # somebody else's
        found = [job.result() for job in jobs]
    assert status == 200
    assert {status for status, _ in found} <= {422, 503}
    assert any("POINTS_PER_SELECT_MAX" in answer["error"] for _, answer in found)
    assert target.decoded() - before <= 20 * (READABLE + SERIES * 7_200)
    print(f"{target.server.peak_rss_bytes() >> 20} MiB at most")
    assert target.server.peak_rss_bytes() < RSS_MAX


VALUES = [
    "", " ", "\x00", "x" * 5_000, "9" * 5_000, "-" + "9" * 400, "1e999", "NaN", "-Inf", "0x1p-2",
    "[" * 3_000, '{__name__=~"' + "(a|b)*" * 100 + '"}', "{}", "m{", '{"\\xff"}',
    "%", "\ud7ff\U0010ffff",
    "2026-13-45T99:99:99Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
    "-292273086-05-16T16:47:06Z", "1h1h", "5y5y", "null", "true", "\r\nSet-Cookie: a=b",
    "../../etc",
]  # fmt: skip


def test_no_parameter_of_any_page_breaks_it(target: Target) -> None:
    """Every parameter of every GET that the OpenAPI document knows, each with a value in turn."""
    assert ask_every_page(target, VALUES) > 50
    assert target.server.process.poll() is None


def ask_every_page(target: Target, values: list[str]) -> int:
    """How many requests were made."""
    _, document = target.ask("/openapi.json")
    asked, turn = 0, itertools.cycle(values)
    for path, methods in document["paths"].items():
        if "get" not in methods or "{" in path or "stream" in path:
            continue
        names = [
            one["name"] for one in methods["get"].get("parameters", []) if one["in"] == "query"
        ]
        for name in names:
            given = dict.fromkeys(names, "1") | {"query": "m", "match[]": "m", "end": "2"}
            wanted = {each: given[each] for each in names} | {name: next(turn)}
            status, text = raw(target, f"{path}?{urlencode(wanted, errors='surrogatepass')}")
            asked += 1
            assert status < 500 or status == 503, (path, wanted, text[:300])
    return asked


def raw(target: Target, path: str) -> tuple[int, bytes]:
    wire = http.client.HTTPConnection("127.0.0.1", target.server.port, timeout=WAIT_S)
    try:
        wire.request("GET", path)
        answer = wire.getresponse()
        return answer.status, answer.read(1 << 20)
    finally:
        wire.close()


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES)
def test_no_value_breaks_any_page(target: Target, value: str) -> None:
    assert ask_every_page(target, [value]) > 50
