"""api.protocol: hostile and broken clients, over real sockets, against an echo application."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tsdb import limits

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PATIENCE_S = 0.3  # time-outs of the impatient server


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers `<method> <path> <body>`; /early answers before it has read a body."""
    body = b""
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    text = b"%b %b %b\n" % (scope["method"].encode(), scope["raw_path"], body)
    if scope["path"] == "/headers":
        text = b"".join(b"%b=%b;" % pair for pair in scope["headers"])
    if scope["path"] == "/large":
        await pour(send)
        return
    headers = [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def pour(send: Any) -> None:
    """32 MiB in pieces; `poured` is set when the last one is out, or nobody takes them."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in range(512):
        body = {"type": "http.response.body", "body": bytes(1 << 16), "more_body": piece < 511}
        await send(body)
    poured.set()


poured = threading.Event()


@pytest.fixture(scope="module")
def patient(serve_app: Any) -> Iterator[Any]:
    with serve_app(echo) as served:
        yield served


@pytest.fixture(scope="module")
def impatient(serve_app: Any) -> Iterator[Any]:
    with serve_app(echo, header_timeout_s=PATIENCE_S, body_timeout_s=PATIENCE_S) as served:
        yield served


def refusal(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer that must be one whole refusal and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer[:200]
    assert b"connection: close" in head
    assert head.count(b"HTTP/1.1 ") == 1
    document = json.loads(body)
    assert document["status"] == "error"
    return int(head.split(b" ")[1]), document


# --- what works -----------------------------------------------------------------------------


def test_a_request_is_answered_and_the_connection_stays(patient: Any) -> None:
    wire = patient.wire()

    assert wire.send(GET).read_until(b"GET / \n").startswith(b"HTTP/1.1 200")
    assert wire.send(LAST).read_to_end().endswith(b"GET /last \n")


def test_pipelined_requests_are_answered_in_order(patient: Any) -> None:
    post = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    answer = patient.talk(b"".join(post % i for i in range(20)) + LAST)

    at = [answer.index(b"POST /%d abc" % i) for i in range(20)]
    assert at == sorted(at)
    assert answer.endswith(b"GET /last \n")


def test_bytes_may_come_one_at_a_time(patient: Any) -> None:
    wire = patient.wire()
    for byte in b"PUT /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi":
        wire.send(bytes([byte]))

    assert wire.read_to_end().endswith(b"PUT /k hi\n")


def test_a_chunked_body_is_put_together_and_its_trailers_are_dropped(patient: Any) -> None:
    answer = patient.talk(
        b"POST /headers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;ext=1\r\nab\r\n1\r\nc\r\n0\r\nHost: evil\r\nContent-Encoding: gzip\r\n\r\n" + LAST
    )

    assert b"host=x;" in answer
    assert b"evil" not in answer
    assert b"gzip" not in answer
    assert answer.endswith(b"GET /last \n")


def test_a_wish_to_upgrade_is_passed_over(patient: Any) -> None:
    upgrade = b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
    answer = patient.talk(upgrade % (b"a", b"h2c") + upgrade % (b"b", b"websocket") + LAST)

    assert [word in answer for word in (b"GET /a", b"GET /b", b"GET /last")] == [True] * 3


def test_an_early_answer_does_not_cut_off_the_rest_of_the_body(patient: Any) -> None:
    """A client that sends before it reads must get to the answer."""
    wire = patient.wire().send(
        b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
    )
    wire.send(bytes(9_000_000))

    assert b"POST /early" in wire.send(LAST).read_to_end()
    assert wire.got.endswith(b"GET /last \n")


# --- broken ---------------------------------------------------------------------------------

POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
BROKEN = {
    "length and chunked": POST + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\n"
    b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a signed length": POST + b"Content-Length: -1\r\n\r\n",
    "a plus before the length": POST + b"Content-Length: +1\r\n\r\na",
    "an endless length": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "an unknown transfer coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked before another": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk longer than said": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\r\n",
    "a zero byte": b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
    "an unknown method": b"FETCH / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw UTF-8 in the path": "GET /küche HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(64),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_http_gets_a_400_and_the_door(patient: Any, broken: bytes) -> None:
    status, document = refusal(patient.talk(broken))

    assert status == 400
    assert document["errorType"] == "bad_data"


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_request_does_not_harm_the_answers_before_it(patient: Any, broken: bytes) -> None:
    answer = patient.talk(GET + GET + broken)

    assert answer.count(b"GET / \n") == 2
    assert refusal(answer[answer.rindex(b"HTTP/1.1 4") :])[0] == 400


def test_random_bytes_never_stop_the_server(patient: Any) -> None:
    rng = random.Random(5)
    for _ in range(50):
        noise = bytearray(b"POST /k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" * 2)
        for _ in range(rng.randrange(1, 8)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        wire = patient.wire().send(bytes(noise))
        wire.sock.shutdown(1)
        wire.read_to_end()
        wire.close()

    assert patient.talk(LAST).endswith(b"GET /last \n")


# --- too much -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nA"],
    ids=["value", "path", "name"],
)
def test_a_hundred_megabytes_of_header_are_refused_at_the_first(patient: Any, start: bytes) -> None:
    wire = patient.wire().send(start)
    sent = wire.send_until_cut(b"a" * 100_000, 1_000)

    status, document = refusal(wire.read_to_end())
    assert status == 431
    assert "HEADER_BYTES_MAX" in document["error"]
    assert sent <= limits.BODY_DISCARD_BYTES_MAX // 100_000


def test_headers_are_counted(patient: Any) -> None:
    many = b"".join(b"a%d: b\r\n" % i for i in range(limits.HEADERS_MAX - 2))
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many

    assert patient.talk(request + b"\r\n").startswith(b"HTTP/1.1 200")
    status, document = refusal(patient.talk(request + b"one: more\r\n\r\n"))
    assert status == 431
    assert "HEADERS_MAX" in document["error"]


def test_trailers_are_bounded_too(patient: Any) -> None:
    wire = patient.wire().send(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    )
    wire.send_until_cut(b"a: b\r\n" * 1_000, 100)

    assert refusal(wire.read_to_end())[0] == 431


def test_requests_sent_ahead_are_bounded(patient: Any) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
    answer = patient.talk(post * (limits.PIPELINE_MAX * 4))

    assert answer.count(b"POST / a\n") >= limits.PIPELINE_MAX
    assert refusal(answer[answer.rindex(b"HTTP/1.1 4") :])[0] == 400


def test_connections_past_the_bound_hear_503_and_the_others_go_on(serve_app: Any) -> None:
    with serve_app(echo, connections_max=4) as served:
        first = [served.wire() for _ in range(4)]
        for wire in first:
            wire.send(GET).read_until(b"GET / \n")
        status, _ = refusal(served.talk(GET))
        assert status == 503
        for wire in first:
            wire.got = b""
            assert b"200 OK" in wire.send(GET).read_until(b"GET / \n")


def test_connections_far_past_the_bound_are_cut(serve_app: Any) -> None:
    with serve_app(echo, connections_max=4) as served:
        first = [served.wire().send(GET) for _ in range(4)]
        for wire in first:
            wire.read_until(b"GET / \n")
        crowd = [served.wire() for _ in range(40)]
        cut = [wire.read_to_end() for wire in crowd[4:]]
        refused = [wire.send(LAST).read_to_end() for wire in crowd[:4]]

    assert set(cut) == {b""}
    assert {answer[:12] for answer in refused} == {b"HTTP/1.1 503"}


# --- too slow -------------------------------------------------------------------------------


def test_a_silent_connection_is_closed_without_a_word(impatient: Any) -> None:
    assert impatient.talk(b"") == b""


@pytest.mark.parametrize("start", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n"])
def test_a_header_that_does_not_end_gets_408(impatient: Any, start: bytes) -> None:
    status, document = refusal(impatient.talk(start))

    assert status == 408
    assert "header_timeout_s" in document["error"]


def test_a_header_that_trickles_gets_408(impatient: Any) -> None:
    """Slow-loris: each byte is in time, the header is not."""
    wire = impatient.wire().send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    wire.sock.settimeout(PATIENCE_S / 10)
    for _ in range(100):
        wire.send_until_cut(b"A", 1)
        with contextlib.suppress(TimeoutError):
            wire.got += wire.sock.recv(4096)
        if wire.got:
            break

    wire.sock.settimeout(10)
    assert refusal(wire.read_to_end())[0] == 408


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_a_body_that_falls_silent_gets_408(impatient: Any, start: bytes) -> None:
    status, document = refusal(impatient.talk(start))

    assert status == 408
    assert "body_timeout_s" in document["error"]


def test_a_body_that_trickles_gets_408(impatient: Any) -> None:
    """Each byte is in time, the whole is slower than BODY_RATE_BYTES_PER_S_MIN."""
    wire = impatient.wire().send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
    wire.sock.settimeout(PATIENCE_S / 10)
    for _ in range(100):
        wire.send_until_cut(b"A", 1)
        with contextlib.suppress(TimeoutError):
            wire.got += wire.sock.recv(4096)
        if wire.got:
            break

    wire.sock.settimeout(10)
    assert refusal(wire.read_to_end())[0] == 408


def test_a_body_that_stalls_after_its_answer_is_only_closed(impatient: Any) -> None:
    answer = impatient.talk(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_slow_second_request_leaves_the_first_answer_whole(impatient: Any) -> None:
    answer = impatient.talk(GET + b"GET / HTTP/1.1\r\nHos")

    assert answer.count(b"GET / \n") == 1
    assert refusal(answer[answer.rindex(b"HTTP/1.1 4") :])[0] == 408


def test_a_client_that_takes_no_answer_is_cut(
    serve_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_STALL_S", PATIENCE_S)
    with serve_app(echo) as served:
        wire = served.wire().send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert poured.wait(30)
        assert len(wire.read_to_end()) < 32 << 20


def test_vanishing_clients_leave_nothing_behind(patient: Any) -> None:
    for start in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"):
        for _ in range(20):
            patient.wire().send(start).close()

    assert patient.talk(LAST).endswith(b"GET /last \n")
    wire = patient.wire()
    wire.send(GET).read_until(b"GET / \n")
    assert len(patient.server.server_state.tasks) <= 1
