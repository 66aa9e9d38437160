"""replication.nats.replies: what a reply to an append lets us know."""

from __future__ import annotations

import json

import pytest

from replication.nats.replies import Acked, Refusal, Refused, judge


def test_an_ack_carries_the_seq():
    assert judge(b'{"stream":"s","seq":7}', None) == Acked(7)
    assert judge(b'{"stream":"s","seq":7,"duplicate":true}', None) == Acked(7, True)


def test_nobody_listened_so_it_is_not_in_the_log():
    said = judge(b"", {"Status": "503"})
    assert said.why is Refusal.NO_LEADER
    assert said.absent


@pytest.mark.parametrize(
    ("number", "text", "why"),
    [
        (10077, "maximum bytes exceeded", Refusal.LOG_FULL),
        (10077, "store broke", Refusal.UNKNOWN),
        (10047, "insufficient storage", Refusal.LOG_FULL),
        (10109, "stream is sealed", Refusal.SEALED),
        (10054, "message size exceeds maximum allowed", Refusal.TOO_LARGE),
        (10071, "wrong last sequence: 3", Refusal.CONFLICT),
        (10008, "JetStream system temporarily unavailable", Refusal.NO_LEADER),
        (12345, "something new", Refusal.UNKNOWN),
    ],
)
def test_errors_are_told_apart(number, text, why):
    body = json.dumps({"error": {"code": 503, "err_code": number, "description": text}})
    said = judge(body.encode(), None)

    assert isinstance(said, Refused)
    assert said.why is why
    assert said.absent == (why is not Refusal.UNKNOWN)
    assert text in said.text
    assert str(number) in said.text


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"seq":"x"}', b'{"error":3}', b"\xff"]
)
def test_a_reply_that_says_nothing_leaves_it_unknown(body):
    said = judge(body, None)
    assert isinstance(said, Refused)
    assert said.why is Refusal.UNKNOWN
    assert not said.absent
