"""TLS with real certificates: who is served, what a new certificate changes, who is cut."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tsdb import limits

WAIT_S = 30
TLS = "tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n"
CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


def config(name: str = "server") -> str:
    return TLS.format(cert=f"{name}.pem", key=f"{name}.key")


@pytest.fixture
def tls(certificates: Any, start_with: Any) -> Any:
    """`with tls(more_text, **settings) as server:` on the certificates of this test."""
    certificates.issue("server")
    assert certificates.ca_file.exists()

    def starting(more: str = "", **settings: Any) -> Any:
        return start_with(config() + more, **settings)

    return starting


def client(ca: Path, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    for name, version in versions.items():
        setattr(context, name, version)
    return context


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext) -> Any:
    with (
        socket.create_connection(("127.0.0.1", port), WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        yield wire


def asked(wire: ssl.SSLSocket, path: str = "/-/healthy") -> bytes:
    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got:
        more = wire.recv(1 << 16)
        if not more:
            break
        got += more
    return got


def turned_away(port: int, context: ssl.SSLContext) -> bool:
    """No handshake, or with TLS 1.3 no answer after it."""
    try:
        with connected(port, context) as wire:
            return asked(wire) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_request_over_tls(tls: Any, certificates: Any) -> None:
    with tls() as server, connected(server.port, client(certificates.ca_file)) as wire:
        assert asked(wire).startswith(b"HTTP/1.1 200")
        assert wire.version() == "TLSv1.3"
        assert wire.selected_alpn_protocol() is None
        cert = wire.getpeercert()
        assert cert is not None
        assert ("DNS", "localhost") in cert["subjectAltName"]


def test_curl_writes_and_reads(tls: Any, certificates: Any, accounts: str) -> None:
    assert shutil.which("curl"), "apt-get install curl"
    with tls(accounts) as server:
        url = f"https://localhost:{server.port}"
        base = ["curl", "-sS", "--fail-with-body", "--cacert", str(certificates.ca_file)]
        base += ["--resolve", f"localhost:{server.port}:127.0.0.1"]

        def curl(*more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*base, *more], capture_output=True, text=True, timeout=WAIT_S)

        assert curl("-u", "anna:all", "-d", "[[1769860800,7]]", f"{url}/kv/x").returncode == 0
        read = curl("--oauth2-bearer", "sb_reader", f"{url}/kv/x")
        assert "7" in read.stdout
        assert read.returncode == 0
        wrong = curl("-u", "anna:no", f"{url}/kv/x")
        assert wrong.returncode == 22
        assert "unauthorized" in wrong.stdout


def test_plain_http_is_no_tls(tls: Any) -> None:
    with tls() as server, socket.create_connection(("127.0.0.1", server.port), WAIT_S) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in wire.recv(1 << 16)


def test_old_protocols_are_refused(tls: Any, certificates: Any) -> None:
    ca = certificates.ca_file
    two = ssl.TLSVersion.TLSv1_2
    with tls("  min_version: TLS13\n") as server:
        with (
            pytest.raises(ssl.SSLError),
            connected(server.port, client(ca, maximum_version=two)),
        ):
            pass
        with connected(server.port, client(ca)) as wire:
            assert asked(wire).startswith(b"HTTP/1.1 200")


def test_chosen_ciphers_and_curve_are_used(tls: Any, certificates: Any) -> None:
    more = (
        "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
        "  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384]\n"
    )
    with tls(more) as server, connected(server.port, client(certificates.ca_file)) as wire:
        assert asked(wire).startswith(b"HTTP/1.1 200")
        assert wire.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_clients_without_a_certificate_stay_outside(tls: Any, certificates: Any) -> None:
    certificates.issue("agent", "agent.example")
    known = client(certificates.ca_file)
    known.load_cert_chain(certificates.folder / "agent.pem", certificates.folder / "agent.key")
    with tls(CLIENTS) as server:
        with connected(server.port, known) as wire:
            assert asked(wire).startswith(b"HTTP/1.1 200")
            assert asked(wire, "/kv").startswith(b"HTTP/1.1 200")
        assert turned_away(server.port, client(certificates.ca_file))


def test_only_named_clients_come_in(tls: Any, certificates: Any) -> None:
    contexts = []
    for name, host in (("good", "good.example"), ("bad", "bad.example"), ("ip", "192.0.2.7")):
        certificates.issue(name, host)
        contexts.append(client(certificates.ca_file))
        folder = certificates.folder
        contexts[-1].load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    good, bad, address = contexts
    with tls(CLIENTS + "  client_allowed_sans: [good.example, 192.0.2.7]\n") as server:
        assert not turned_away(server.port, good)
        assert not turned_away(server.port, address)
        assert turned_away(server.port, bad)
        file = certificates.folder / "web.yml"
        file.write_text(config() + CLIENTS + "  client_allowed_sans: [bad.example]\n")
        assert server.server.access.refresh()
        assert turned_away(server.port, good)
        assert not turned_away(server.port, bad)


def test_a_new_certificate_is_served_without_a_restart(tls: Any, certificates: Any) -> None:
    with tls() as server:
        context = client(certificates.ca_file)
        with connected(server.port, context) as old:
            before = old.getpeercert(binary_form=True)
            certificates.issue("server")
            assert server.server.access.refresh()
            with connected(server.port, context) as new:
                assert new.getpeercert(binary_form=True) != before
                assert asked(new).startswith(b"HTTP/1.1 200")
            assert asked(old).startswith(b"HTTP/1.1 200"), "who is in stays in"


def test_a_dropped_authority_lets_nobody_in_any_more(
    tls: Any, certificates: Any, tmp_path_factory: Any
) -> None:
    import trustme

    certificates.issue("agent", "agent.example")
    known = client(certificates.ca_file)
    known.load_cert_chain(certificates.folder / "agent.pem", certificates.folder / "agent.key")
    with tls(CLIENTS) as server:
        with connected(server.port, known) as wire:
            assert asked(wire).startswith(b"HTTP/1.1 200")
        other = certificates.folder / "ca.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        assert server.server.access.refresh()
        assert turned_away(server.port, known)


def test_half_a_change_keeps_the_old_certificate(tls: Any, certificates: Any) -> None:
    """Renewal writes two files; between them they do not fit."""
    with tls() as server:
        key = (certificates.folder / "server.key").read_bytes()
        certificates.issue("server")
        renewed = (certificates.folder / "server.key").read_bytes()
        (certificates.folder / "server.key").write_bytes(key)
        assert not server.server.access.refresh()
        with connected(server.port, client(certificates.ca_file)) as wire:
            assert asked(wire).startswith(b"HTTP/1.1 200")
        (certificates.folder / "server.key").write_bytes(renewed)
        assert server.server.access.refresh()


def test_changes_are_seen_without_being_told(tls: Any, certificates: Any) -> None:
    with tls() as server:
        context = client(certificates.ca_file)
        with connected(server.port, context) as wire:
            before = wire.getpeercert(binary_form=True)
        certificates.issue("server")
        deadline, served = time.monotonic() + WAIT_S, before
        while served == before and time.monotonic() < deadline:
            with connected(server.port, context) as wire:
                served = wire.getpeercert(binary_form=True)
        assert served != before


def told(wire: ssl.SSLSocket) -> bytes:
    """A refusal as far as its last byte; the connection lingers after it."""
    got = b""
    while not got.endswith(b"}\n") and (more := wire.recv(1 << 16)):
        got += more
    return got


# --- slow clients ---------------------------------------------------------------------------------


def read_to_end(wire: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while more := wire.recv(1 << 16):
            got += more
    return got


def test_a_client_that_takes_no_answer_is_cut_over_tls(
    tls: Any, certificates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_STALL_S", 0.3)
    first = 1_769_860_800_000
    with tls() as server:
        stamps = [first + n for n in range(1_000_000)]
        server.database.write("big", stamps, [n / 7 for n in range(1_000_000)])
        with connected(server.port, client(certificates.ca_file)) as wire:
            refusals = server.server.node.refusals.requests
            wire.sendall(b"GET /kv/big?start=0&limit=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            deadline = time.monotonic() + WAIT_S
            while not refusals["WRITE_STALL_S"] and time.monotonic() < deadline:
                time.sleep(0.01)
            assert refusals["WRITE_STALL_S"] == 1
            assert not read_to_end(wire).endswith(b"0\r\n\r\n")


def test_an_idle_client_is_let_go_in_time(tls: Any, certificates: Any) -> None:
    """It does not answer the goodbye either, for it does not read."""
    with (
        tls(keep_alive_timeout_s=0.2) as server,
        connected(server.port, client(certificates.ca_file)) as wire,
    ):
        assert asked(wire).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        while server.server.server_state.connections and time.monotonic() < began + WAIT_S:
            time.sleep(0.01)
        assert time.monotonic() - began < 15


def test_idle_clients_do_not_hold_up_the_end(tls: Any, certificates: Any) -> None:
    """They never answer the goodbye of TLS, and 30 s are allowed to it otherwise."""
    with (
        tls(shutdown_timeout_s=60) as server,
        connected(server.port, client(certificates.ca_file)) as wire,
    ):
        assert asked(wire).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15
        assert read_to_end(wire) == b""


@pytest.mark.parametrize("hello", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"])
def test_who_never_shakes_hands_is_cut(tls: Any, hello: bytes) -> None:
    with (
        tls(header_timeout_s=0.2) as server,
        socket.create_connection(("127.0.0.1", server.port), WAIT_S) as wire,
    ):
        wire.sendall(hello)
        assert read_to_end(wire) == b""


def test_a_header_that_comes_too_slowly_is_cut_over_tls(tls: Any, certificates: Any) -> None:
    with (
        tls(header_timeout_s=0.2) as server,
        connected(server.port, client(certificates.ca_file)) as wire,
    ):
        wire.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        answer = told(wire)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"header_timeout_s" in answer


def test_a_body_that_comes_too_slowly_is_cut_over_tls(tls: Any, certificates: Any) -> None:
    with (
        tls(body_timeout_s=0.2) as server,
        connected(server.port, client(certificates.ca_file)) as wire,
    ):
        wire.sendall(b"PUT /kv/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[[")
        answer = told(wire)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_timeout_s" in answer


def test_a_silent_connection_is_closed_over_tls(tls: Any, certificates: Any) -> None:
    with (
        tls(header_timeout_s=0.2) as server,
        connected(server.port, client(certificates.ca_file)) as wire,
    ):
        assert read_to_end(wire) == b""


def test_a_header_without_end_is_refused_over_tls(tls: Any, certificates: Any) -> None:
    with tls() as server, connected(server.port, client(certificates.ca_file)) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000)
        assert told(wire).startswith(b"HTTP/1.1 431")


def test_a_big_body_and_a_big_answer_go_over_tls(tls: Any, certificates: Any) -> None:
    import http.client
    import json

    points = [[1_769_860_800 + i, i] for i in range(100_000)]
    with tls() as server:
        wire = http.client.HTTPSConnection(
            "localhost", server.port, timeout=WAIT_S, context=client(certificates.ca_file)
        )
        with contextlib.closing(wire):
            wire.request("PUT", "/kv/big", json.dumps(points).encode())
            assert wire.getresponse().read()
            wire.request("GET", "/kv/big?start=0&limit=1000000")
            answer = wire.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            assert len(json.loads(body)["points"]) == len(points)


def test_hand_shakes_under_way_are_bounded(tls: Any) -> None:
    """Past twice `connections_max` new ones are cut at once, before they cost anything."""
    with tls(connections_max=4, header_timeout_s=20) as server:
        wires = [socket.create_connection(("127.0.0.1", server.port), WAIT_S) for _ in range(12)]
        try:
            assert read_to_end(wires[-1]) == b""
            assert server.server.access.context.cut == 4
        finally:
            for wire in wires:
                wire.close()
