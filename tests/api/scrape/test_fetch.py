"""api.scrape.fetch and .connection: what is asked, what counts as an answer, what is bounded."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from api.scrape.config import Access, Bounds, Config, Group, Job, Tls
from api.scrape.connection import ScrapeFailed
from api.scrape.fetch import Fetched, Fetcher
from api.scrape.targets import discovered_labels, target_of
from tsdb.errors import InvalidInput

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Room:
    def __init__(self, size: int) -> None:
        self.left = self.size = size

    def claim(self, size: int) -> None:
        if size > self.left:
            raise ScrapeFailed("no room")
        self.left -= size

    def release(self, size: int) -> None:
        self.left += size


def fetcher_of(address: str, room: Room | None = None, **job: Any) -> Fetcher:
    one = Job("j", timeout_ms=1_500, **job)
    target = target_of(one, discovered_labels(one, Group("s", (address,)), address))
    assert target is not None
    return Fetcher(one, target, body_bytes_max=1 << 20, room=room or Room(1 << 20))


def fetch(address: str, times: int = 1, **options: Any) -> list[Fetched]:
    async def ask() -> list[Fetched]:
        fetcher = fetcher_of(address, **options)
        try:
            async with asyncio.timeout(10):
                return [await fetcher.fetch() for _ in range(times)]
        finally:
            fetcher.close()

    return asyncio.run(ask())


def fails(address: str, **options: Any) -> str:
    with pytest.raises(ScrapeFailed) as caught:
        fetch(address, **options)
    return str(caught.value)


def test_it_asks_as_prometheus_does(site: Any) -> None:
    first, second = fetch(site.address, 2, params=(("a", ("1", "2")),), metrics_path="/m")

    assert first == second == Fetched(b"metric_a 1\n", "", False)
    assert site.paths == ["/m?a=1&a=2"] * 2
    assert site.connections == 1
    asked = site.requests[0]
    assert asked["host"] == site.address
    assert asked["accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=")
    assert asked["accept-encoding"] == "gzip"
    assert asked["x-prometheus-scrape-timeout-seconds"] == "1.5"
    assert asked["user-agent"].startswith("Silverback/")


def test_the_format_is_what_the_answer_says(site: Any) -> None:
    site.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert fetch(site.address)[0].openmetrics
    site.content_type = "text/html"
    assert "text/html" in fails(site.address)
    assert fetch(site.address, fallback_protocol="OpenMetricsText1.0.0")[0].openmetrics
    site.content_type = ""
    assert "no Content-Type" in fails(site.address)
    assert not fetch(site.address, fallback_protocol="PrometheusText0.0.4")[0].openmetrics


def test_encodings(site: Any) -> None:
    site.compressed = True
    found = fetch(site.address)[0]
    assert (gzip.decompress(found.body), found.encoding) == (b"metric_a 1\n", "gzip")
    fetch(site.address, compressed=False)
    assert site.requests[-1]["accept-encoding"] == "identity"


def test_an_answer_may_end_with_its_connection(site: Any) -> None:
    site.length = False
    assert [f.body for f in fetch(site.address, 2)] == [b"metric_a 1\n"] * 2
    assert site.connections == 2


def test_chunks_and_informational_answers(site: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    site.raw = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head + b"3\r\na 1\r\n1\r\n\n\r\n0\r\n\r\n"
    )
    assert fetch(site.address)[0].body == b"a 1\n"


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
def test_only_200_is_an_answer(site: Any, status: int) -> None:
    site.status = status
    if status == 204:
        site.text = ""
    assert f"server returned HTTP status {status}" in fails(site.address)


BROKEN = [
    (b"SSH-2.0-OpenSSH\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "ended within"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ended within"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "header"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "body_size_limit"),
]


@pytest.mark.parametrize(("raw", "said"), BROKEN)
def test_broken_answers(site: Any, raw: bytes, said: str) -> None:
    site.raw = raw
    assert said in fails(site.address)


def test_bodies_are_bounded_however_they_come(site: Any) -> None:
    site.text = "x" * 1_001
    bounds = Bounds(body_bytes=1_000)
    assert "body_size_limit exceeded (limit 1,000 bytes)" in fails(site.address, bounds=bounds)
    site.length = False
    assert "body_size_limit" in fails(site.address, bounds=bounds)
    site.text = "x" * 1_000
    assert len(fetch(site.address, bounds=bounds)[0].body) == 1_000


def test_answers_under_way_share_their_room(site: Any) -> None:
    room = Room(1_000)
    site.text = "x" * 600
    fetch(site.address, 3, room=room)
    site.text = "x" * 1_001
    assert fails(site.address, room=room) == "no room"
    assert room.left == room.size


def test_a_connection_given_up_meanwhile_is_no_failure() -> None:
    """Closed by the target while idle: the next scrape takes a new one."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n"
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[int] = []

    def serve() -> None:
        for _ in range(3):
            peer, _ = listener.accept()
            taken.append(1)
            peer.recv(10_000)
            peer.sendall(answer)
            peer.shutdown(socket.SHUT_WR)  # its last word, though nothing said so
            peer.recv(10_000)
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    found = fetch(f"127.0.0.1:{listener.getsockname()[1]}", 3)
    listener.close()
    assert [f.body for f in found] == [b"a 1\n"] * 3
    assert len(taken) == 3


def test_nobody_there() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    assert f"dial 127.0.0.1:{port}: " in fails(f"127.0.0.1:{port}")
    assert "lookup " in fails("no-such-host.invalid:1")


def test_link_local_addresses_are_not_asked() -> None:
    """Where clouds keep credentials for whoever asks from this machine."""
    assert "link-local" in fails("169.254.169.254:80")


def test_credentials(site: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    fetch(site.address, access=Access(scheme="Basic", username="u", password="p:w"))
    fetch(site.address, access=Access(scheme="Basic", username="u", password_file=secret))
    fetch(site.address, access=Access(scheme="Bearer", credentials="tok"))
    fetch(site.address, access=Access(scheme="Token", credentials_file=secret))
    sent = [asked.get("authorization", "") for asked in site.requests]
    assert sent == [
        "Basic " + base64.b64encode(b"u:p:w").decode(),
        "Basic " + base64.b64encode(b"u:s3cret").decode(),
        "Bearer tok",
        "Token s3cret",
    ]
    gone = Access(scheme="Bearer", credentials_file=tmp_path / "gone")
    assert "cannot be read" in fails(site.address, access=gone)
    smuggled = Access(scheme="Bearer", credentials="a\r\nX: y")
    assert "more than a line" in fails(site.address, access=smuggled)


def test_tls(open_sites: Any, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("site.example").configure_cert(served)
    authority.configure_trust(served)
    served.verify_mode = ssl.CERT_REQUIRED
    site = open_sites(served)
    for name, one in (("ca", authority), ("other", stranger)):
        one.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    client = authority.issue_cert("me.example")
    client.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    own = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}

    def ask(**tls: Any) -> dict[str, Any]:
        return {"scheme": "https", "access": Access(tls=Tls(**own, **tls))}

    good = ask(ca_file=tmp_path / "ca.pem", server_name="site.example")
    assert [f.body for f in fetch(site.address, 2, **good)] == [b"metric_a 1\n"] * 2
    assert site.connections == 1
    assert fetch(site.address, **ask(insecure_skip_verify=True))
    assert "tls: " in fails(site.address, **ask(ca_file=tmp_path / "ca.pem"))
    wrong = ask(ca_file=tmp_path / "other.pem", server_name="site.example")
    assert "tls: " in fails(site.address, **wrong)


def test_files_of_tls_must_be_there(tmp_path: Path) -> None:
    access = Access(tls=Tls(ca_file=tmp_path / "none.pem"))
    with pytest.raises(InvalidInput, match="tls_config"):
        fetcher_of("127.0.0.1:1", scheme="https", access=access)
    assert Config().jobs == ()
