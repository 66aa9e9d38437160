"""api.logs: one line an event, nothing secret in it, nothing a client could forge."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import logs
from api.logs import LOG


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


def lines(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(form, level, stream)
    return stream


def test_json_lines_hold_time_level_event_and_fields() -> None:
    out = lines("json")

    LOG.warning("slow_request", path="/kv/a", took_ms=12)

    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "slow_request", "level": "warning", "path": "/kv/a", "took_ms": 12}


def test_libraries_speak_through_the_same_renderer() -> None:
    out = lines("json")

    logging.getLogger("somebody").warning("said %s", "this")

    assert json.loads(out.getvalue())["event"] == "said this"


def test_levels_below_the_chosen_one_are_silent() -> None:
    out = lines("json", "warning")

    LOG.info("quiet")
    logging.getLogger("somebody").info("quiet")
    LOG.error("loud")

    assert [json.loads(x)["event"] for x in out.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_blanked(form: str) -> None:
    out = lines(form)

    LOG.info(
        "request",
        authorization="Bearer hunter2",
        api_key="hunter2",
        Cookie="a=hunter2",
        url="https://joe:hunter2@db/x?token=hunter2&match=cpu&p=hunter2",
        error="could not reach http://joe:hunter2@db",
    )
    logging.getLogger("somebody").error("password=hunter2")

    assert "hunter2" not in out.getvalue()
    assert "match=cpu" in out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_logged_with_its_traceback(form: str) -> None:
    out = lines(form)

    try:
        raise ValueError("broken \x1b[31m")
    except ValueError:
        LOG.exception("internal_error")

    assert "Traceback" in out.getvalue()
    assert "test_logs.py" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_no_text_makes_a_second_line_or_reaches_the_terminal_raw(text: str) -> None:
    for form in ("json", "console"):
        out = lines(form)
        LOG.info("request", path=text)
        out.getvalue().encode()
        (line,) = out.getvalue().removesuffix("\n").split("\n")
        assert not any(c in line for c in "\x1b\r\x07\x00\x9b")
        if form == "json":
            assert json.loads(line)["path"] in (text, logs.redact(None, "", {"path": text})["path"])


def test_long_text_is_cut() -> None:
    out = lines("json")

    LOG.info("request", query="q" * 100_000)

    assert len(out.getvalue()) < 2 * logs.TEXT_CHARACTERS_MAX
