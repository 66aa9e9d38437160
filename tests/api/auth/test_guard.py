"""api.auth.guard over sockets: who gets in, who does not, and what they are told."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth import accounts as accounts_module
from api.auth.accounts import Account, Accounts, User
from api.auth.attempts import Attempts
from api.auth.guard import Guard
from api.auth.scope_names import ALL, READ
from api.errors import Forbidden, TooManyLogins, Unauthorized
from tsdb import limits
from tsdb.errors import Unavailable

T = 1_769_860_800
POINT = [[T, 1.5]]
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))


def test_without_credentials_only_health_answers(guarded: Any) -> None:
    for path in ("/-/healthy", "/-/ready"):
        assert guarded.get(path).status == 200
    for path in ("/", "/metrics", "/kv", "/openapi.json", "/api/v1/status", "/nothing"):
        refused = guarded.get(path)
        assert refused.status == 401, path
        assert refused.json["errorType"] == "unauthorized"
        assert "Basic" in refused.headers["www-authenticate"] + refused.json["error"]
    assert guarded("PUT", "/kv/x", POINT).status == 401
    assert guarded("POST", "/api/v1/admin/flush").status == 401


def test_each_scope_opens_its_own_routes(guarded: Any, keys: Any) -> None:
    can = {
        token: (
            guarded("PUT", "/kv/scoped", POINT, **keys.bearer(token)).status < 300,
            guarded("GET", "/kv/scoped", **keys.bearer(token)).status != 403,
            guarded("GET", "/metrics", **keys.bearer(token)).status == 200,
            guarded("POST", "/api/v1/admin/flush", **keys.bearer(token)).status == 200,
        )
        for token in (keys.writer, keys.reader, keys.admin)
    }
    assert can == {
        keys.writer: (True, False, False, False),
        keys.reader: (False, True, True, False),
        keys.admin: (False, False, False, True),
    }


def test_a_refusal_names_the_missing_scope(guarded: Any, keys: Any) -> None:
    refused = guarded("PUT", "/kv/x", POINT, **keys.bearer(keys.reader))
    assert refused.status == 403
    assert "'read-agent'" in refused.json["error"]
    assert "write" in refused.json["error"]


def test_delete_needs_write(guarded: Any, keys: Any) -> None:
    assert guarded("PUT", "/kv/gone", POINT, **keys.bearer(keys.writer)).status < 300
    assert guarded("DELETE", "/kv/gone", **keys.bearer(keys.reader)).status == 403
    assert guarded("DELETE", "/kv/gone", **keys.bearer(keys.writer)).status < 300


def test_every_way_clients_present_themselves(guarded: Any, keys: Any) -> None:
    ways = [
        keys.basic("anna", "all"),
        keys.basic("anybody", keys.reader),  # a token as a password
        {"Authorization": f"Token {keys.reader}"},
        {"Authorization": f"token {keys.reader}"},
        {"Authorization": "Token anna:all"},
        {"Authorization": f"Token x:{keys.reader}"},
        {"Authorization": f"bearer {keys.reader}"},
    ]
    for headers in ways:
        assert guarded("GET", "/api/v1/status", **headers).status == 200, headers


@pytest.mark.parametrize(
    "text",
    ["Basic", "Basic !", "Basic YW5uYQ==", "Bearer", "Digest x", "anna:all", "", "Token  ", "\xff"],
)
def test_what_cannot_be_read_is_nobody(guarded: Any, text: str) -> None:
    assert guarded("GET", "/kv", Authorization=text).status == 401


def test_users_without_chosen_scopes_may_do_all(guarded: Any, keys: Any) -> None:
    anna = keys.basic("anna", "all")
    assert guarded("PUT", "/kv/anna", POINT, **anna).status < 300
    assert guarded("GET", "/kv/anna", **anna).points == [[T, 1.5]]
    assert guarded("POST", "/api/v1/admin/flush", **anna).status == 200
    assert guarded("PUT", "/kv/ben", POINT, **keys.basic("ben", "look")).status == 403


def test_credentials_in_a_url_count_only_where_clients_have_no_other_way() -> None:
    from api.auth.credentials import parsed, presented

    query = b"u=anna&p=a%26l%3Al&db=x"
    found = presented({}, b"/write", query)
    assert found is not None
    given = parsed(found)
    assert given is not None
    assert (given.user, given.secret) == (b"anna", b"a&l:l")
    assert presented({}, b"/kv", query) is None
    assert presented({}, b"/write", b"db=p") is None
    assert presented({b"authorization": b"Bearer x"}, b"/write", query) == b"Bearer x"


@given(st.binary(max_size=80), st.sampled_from([b"", b"Basic ", b"Token ", b"Bearer ", b"query "]))
def test_any_bytes_are_credentials_or_none(text: bytes, scheme: bytes) -> None:
    from api.auth.credentials import parsed

    found = parsed(scheme + text)
    if found is not None:
        assert isinstance(found.secret, bytes)
        assert accounts_with().of_token(found) is None


@given(st.binary(max_size=200))
def test_any_query_is_credentials_or_none(query: bytes) -> None:
    from api.auth.credentials import parsed, presented

    found = presented({}, b"/write", query)
    assert found is None or parsed(found) is not None


def test_no_secret_reaches_the_log(guarded: Any, keys: Any, caplog: Any) -> None:
    guarded("GET", "/kv", **keys.basic("anna", "planted-secret"))
    guarded("GET", "/write?u=anna&p=planted-secret")
    assert "planted-secret" not in caplog.text


# --- the guard alone, on a loop of its own ------------------------------------------------------


def request(path: str, authorization: str | None, address: str = "192.0.2.1") -> Any:
    headers = {} if authorization is None else {b"authorization": authorization.encode()}
    scope = {
        "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "client": (address, 1),
    }  # fmt: skip
    return SimpleNamespace(scope=scope, headers=headers)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Counting(Accounts):
    """Accounts that count how often a password was worked on."""

    looked = 0

    def of_password(self, given: Any) -> Account | None:
        self.looked += 1
        return super().of_password(given)


def accounts_with(scopes: int = ALL) -> Counting:
    return Counting({"anna": User(Account("anna", scopes), HASH)}, {})


def run(guard: Guard, coroutine: Any) -> Any:
    try:
        return asyncio.run(coroutine)
    finally:
        guard.close()


def test_a_password_is_worked_on_once() -> None:
    found = accounts_with()
    guard = Guard(found)

    async def ask() -> None:
        await asyncio.gather(
            *(guard.check(request("/kv", basic("anna", "secret"))) for _ in "x" * 50)
        )
        await guard.check(request("/kv", basic("anna", "secret")))

    run(guard, ask())
    assert found.looked == 1


def test_wrong_passwords_are_counted_before_they_are_looked_at() -> None:
    """A hundred at once are not a hundred guesses."""
    found = accounts_with()
    now = [0.0]
    guard = Guard(found, Attempts(per_minute=5, clock=lambda: now[0]))

    async def guess(n: int, address: str = "192.0.2.1") -> type:
        try:
            await guard.check(request("/kv", basic("anna", f"guess {n}"), address))
        except (Unauthorized, TooManyLogins) as error:
            return type(error)
        return bool

    async def ask() -> None:
        outcomes = await asyncio.gather(*(guess(n) for n in range(20)))
        assert outcomes.count(Unauthorized) == 5
        assert outcomes.count(TooManyLogins) == 15
        assert found.looked == 5
        assert await guess(1, "192.0.2.2") is Unauthorized, "others are not held up"
        now[0] += 12  # a twelfth... of 60 s over 5 attempts: one is back
        assert await guess(99) is Unauthorized
        assert await guess(100) is TooManyLogins
        assert guard.outcomes["too_many"] == 16

    run(guard, ask())


def test_who_is_known_is_not_held_up_by_a_guesser_at_the_same_address() -> None:
    guard = Guard(accounts_with(), Attempts(per_minute=1))

    async def ask() -> None:
        right = request("/kv", basic("anna", "secret"))
        await guard.check(right)
        with pytest.raises(Unauthorized):
            await guard.check(request("/kv", basic("anna", "wrong")))
        with pytest.raises(TooManyLogins):
            await guard.check(request("/kv", basic("anna", "wrong 2")))
        await guard.check(right)

    run(guard, ask())


def test_a_token_is_right_whatever_its_address_did_before() -> None:
    token = Account("agent", READ)
    found = Accounts({}, {accounts_module.token_digest(b"t0k"): token})
    guard = Guard(found, Attempts(per_minute=1))

    async def ask() -> None:
        with pytest.raises(Unauthorized):
            await guard.check(request("/kv", "Bearer wrong"))
        with pytest.raises(TooManyLogins):
            await guard.check(request("/kv", "Bearer wrong"))
        await guard.check(request("/kv", "Bearer t0k"))

    run(guard, ask())


def test_only_so_many_passwords_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGINS_WAITING_MAX", 3)
    guard = Guard(accounts_with())

    async def ask() -> None:
        tries = (
            guard.check(request("/kv", basic("anna", f"w{n}"), f"192.0.2.{n}")) for n in range(10)
        )
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(o) for o in outcomes].count(Unavailable) == 7

    run(guard, ask())


def test_a_client_that_leaves_takes_no_verdict_from_others() -> None:
    guard = Guard(accounts_with())

    async def ask() -> None:
        right = request("/kv", basic("anna", "secret"))
        first = asyncio.ensure_future(guard.check(right))
        second = asyncio.ensure_future(guard.check(right))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled() or first.done()

    run(guard, ask())


def test_new_accounts_do_not_inherit_old_verdicts() -> None:
    old, new = accounts_with(), Counting({}, {})
    guard = Guard(old)

    async def ask() -> None:
        right = request("/kv", basic("anna", "secret"))
        first = asyncio.ensure_future(guard.check(right))
        await asyncio.sleep(0)
        guard.accounts = new
        with pytest.raises(Unauthorized):
            await guard.check(right)
        await first
        with pytest.raises(Unauthorized):
            await guard.check(right)

    run(guard, ask())


def test_an_unknown_user_takes_as_long_as_a_known_one() -> None:
    """The same bcrypt cost is paid; its time itself is not measured here."""
    given = accounts_module.Credentials(b"nobody", b"x")
    found = accounts_with()
    assert found.of_password(given) is None
    assert found._nobody.split(b"$")[2] == HASH.split(b"$")[2]
    assert bcrypt.checkpw(b"x", found._nobody) is False


@pytest.mark.parametrize("secret", [b"", b"\0", b"a" * 72, b"a" * 73, b"a" * 5000, b"\xff\xfe"])
def test_odd_passwords_are_only_wrong(secret: bytes) -> None:
    assert accounts_with().of_password(accounts_module.Credentials(b"anna", secret)) is None


def test_a_long_password_is_not_its_first_72_bytes() -> None:
    hash_ = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4))
    found = Accounts({"anna": User(Account("anna", ALL), hash_)}, {})
    given = accounts_module.Credentials
    assert found.of_password(given(b"anna", b"a" * 72)) is not None
    assert found.of_password(given(b"anna", b"a" * 73)) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGINS_KNOWN_MAX", 3)
    found = accounts_with()
    marks = [bytes([n]) for n in range(5)]
    for mark in marks:
        found.remember(mark, Account("x", ALL))
    assert [found.known(mark) is not None for mark in marks] == [False, False, True, True, True]


def test_scopes_hold_without_a_login_too() -> None:
    guard = Guard(accounts_with(READ))

    async def ask() -> None:
        wish = request("/api/v1/admin/flush", basic("anna", "secret"))
        for _ in range(2):  # verified, then known
            with pytest.raises(Forbidden, match="admin"):
                await guard.check(wish)

    run(guard, ask())


def test_many_clients_log_in_at_once(guarded: Any, keys: Any) -> None:
    def ask(n: int) -> int:
        status: int = guarded("GET", "/api/v1/status", **keys.basic("ben", "look")).status
        return status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(64))) == {200}


def test_a_guesser_is_told_to_wait(start_with: Any, accounts: str, keys: Any) -> None:
    with start_with(accounts) as server:
        answers = [server.get("/kv", **keys.basic("anna", f"guess {n}")) for n in range(22)]
        assert [a.status for a in answers[:20]] == [401] * 20
        assert answers[-1].status == 429
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].json["limit"] == "LOGINS_FAILED_PER_MINUTE_MAX"
        right = keys.basic("anna", "all")
        assert server.get("/kv", **right).status == 429, "a password is not looked at either"
        assert server.get("/kv", **keys.bearer(keys.reader)).status == 200
        counts = server.get("/metrics", **keys.bearer(keys.reader)).body.decode()
    assert 'silverback_refused_total{limit="LOGINS_FAILED_PER_MINUTE_MAX"} 3.0' in counts


def test_logins_are_counted(guarded: Any, keys: Any) -> None:
    guarded.get("/kv")
    guarded.get("/kv", **keys.basic("anna", "wrong"))
    text = guarded.get("/metrics", **keys.bearer(keys.reader)).body.decode()
    counts = dict(re.findall(r'silverback_logins_total\{outcome="(\w+)"\} ([\d.]+)', text))
    assert set(counts) == {"right", "wrong", "missing", "malformed", "scope", "too_many", "busy"}
    assert float(counts["missing"]) > 0
    assert float(counts["wrong"]) > 0
    assert "silverback_web_config_fresh 1.0" in text


def test_influx_clients_of_every_version_come_in(guarded: Any, keys: Any) -> None:
    line = b"room temp=21.5 1769860800000000000"

    def write(path: str, **headers: str) -> int:
        status: int = guarded("POST", path, line, **headers).status
        return status

    assert write("/write?db=a&u=anna&p=all") == 204
    assert write(f"/write?db=a&u=anybody&p={keys.writer}") == 204
    assert write("/write?db=a", **keys.basic("anna", "all")) == 204
    assert write("/api/v2/write?bucket=a", Authorization=f"Token {keys.writer}") == 204
    assert write("/api/v3/write_lp?db=a", **keys.bearer(keys.writer)) == 204
    assert write("/write?db=a&u=anna&p=wrong") == 401
    assert write("/write?db=a&u=ben&p=look") == 403
    assert write("/write?db=a") == 401
    assert write("/api/v2/write?bucket=a&u=anna&p=all") == 401, "it has a header for that"
    create = "/query?q=CREATE+DATABASE+%22a%22"
    assert guarded("POST", create, **keys.bearer(keys.writer)).status == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def said(statement: str, key: str) -> int:
        body = urlencode({"db": "a", "q": statement}).encode()
        status: int = guarded("POST", "/query", body, **keys.bearer(key), **form).status
        return status

    assert said('CREATE DATABASE "telegraf"', keys.writer) == 200
    assert said("CREATE DATABASE a; CREATE DATABASE b", keys.writer) == 200
    for statement in (
        "SELECT * FROM room",
        "CREATE DATABASE a; SELECT * FROM room",
        "nonsense",
        "",
    ):
        assert said(statement, keys.writer) == 403
    assert said("SELECT * FROM room", keys.reader) == 200
    select = "/query?db=a&q=SELECT+*+FROM+room"
    assert guarded("POST", select, **keys.bearer(keys.writer)).status == 403
    assert guarded("GET", select, **keys.bearer(keys.writer)).status == 403
    assert guarded("GET", select, **keys.bearer(keys.reader)).status == 200
    assert guarded.get("/ping").status == 204


def test_a_body_is_not_read_for_strangers(guarded: Any) -> None:
    refused = guarded("PUT", "/kv/x", b"[" + b"[1,2]," * 100_000, **{"X-Big": "1"})
    assert refused.status == 401
    assert json.loads(refused.body)["status"] == "error"


def test_two_guards_share_nothing(tmp_path: Path) -> None:
    first, second = Guard(accounts_with()), Guard(accounts_with())
    assert first.outcomes is not second.outcomes
    first.close()
    second.close()
