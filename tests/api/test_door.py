"""api.door: pages of strangers stay out, programs and our own pages come in."""

from __future__ import annotations

import pytest

from api.door import KNOWN_HOSTS_MAX, Door
from api.errors import Forbidden
from tsdb.errors import InvalidInput


def check(method: str = "GET", *, loopback: bool = True, **headers: str) -> None:
    names = {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}
    Door(loopback=loopback).check(method, names)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9292", "127.1.2.3:1", "localhost", "LOCALHOST:80", "localhost.:80",
     "db.localhost:9292", "[::1]", "[::1]:9292", ""],
)  # fmt: skip
def test_names_of_this_machine_are_let_in(host: str) -> None:
    assert check(host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9292", "localhost.evil.example", "127.0.0.1.evil.example",
     "10.0.0.1", "[2001:db8::1]:9292", "0.0.0.0", "0177.0.0.1"],
)  # fmt: skip
def test_other_names_are_refused_on_loopback_only(host: str) -> None:
    with pytest.raises(Forbidden, match="Host"):
        check(host=host)
    assert check(host=host, loopback=False) is None


@pytest.mark.parametrize("host", ["a b", "a/b", "[::1", "localhost:99999999", "localhost:x", "é"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="Host"):
        check(host=host)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://evil.example/127.0.0.1:9292"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://127.0.0.1:9292", "sec_fetch_site": "cross-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        check(method, host="127.0.0.1:9292", **headers)
    with pytest.raises(Forbidden):
        check(method, loopback=False, host="127.0.0.1:9292", **headers)
    assert check("GET", host="127.0.0.1:9292", **headers) is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://127.0.0.1:9292"}, {"sec_fetch_site": "same-origin"},
     {"origin": "HTTP://127.0.0.1:9292", "sec_fetch_site": "none"}],
)  # fmt: skip
def test_programs_and_our_own_pages_may_write(headers: dict[str, str]) -> None:
    assert check("POST", host="127.0.0.1:9292", **headers) is None


def test_admin_calls_are_for_loopback() -> None:
    Door(loopback=True).check_admin()
    with pytest.raises(Forbidden, match="--host"):
        Door(loopback=False).check_admin()


def test_the_memory_of_hosts_is_bounded() -> None:
    door = Door(loopback=True)
    for port in range(10 * KNOWN_HOSTS_MAX):
        door.check("GET", {b"host": b"localhost:%d" % port})

    assert len(door._known_hosts) == KNOWN_HOSTS_MAX
