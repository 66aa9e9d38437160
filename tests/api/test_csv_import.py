"""POST /api/v1/import/csv: rows whose columns the query describes."""

from __future__ import annotations

from typing import Any

import pytest

PATH = "/api/v1/import/csv"
FORMAT = "format=2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s"


def read(server: Any, selector: str) -> dict[str, list[tuple[int, float]]]:
    return {
        str(s.labels): list(zip(s.timestamps.tolist(), s.values.tolist(), strict=True))
        for s in server.database.select(selector)
    }


def test_rows_of_several_metrics(server: Any) -> None:
    body = b'GOOG,1.23,4.56,1700000000\r\n"A,B",2,,1700000001\n'
    reply = server("POST", f"{PATH}?{FORMAT}&extra_label=src=csv", body)

    assert (reply.status, reply.json["points"]) == (200, 3)
    assert read(server, '{src="csv"}') == {
        'ask{src="csv", ticker="A,B"}': [(1_700_000_001_000, 2.0)],
        'ask{src="csv", ticker="GOOG"}': [(1_700_000_000_000, 1.23)],
        'bid{src="csv", ticker="GOOG"}': [(1_700_000_000_000, 4.56)],
    }


def test_a_wrong_row_costs_itself(server: Any) -> None:
    reply = server("POST", f"{PATH}?{FORMAT}", b"X,1,2,1700000000\nX,a,2,3\nX,1\n")

    assert (reply.status, reply.json["status"], reply.json["points"]) == (200, "partial", 2)
    assert [text[:6] for text in reply.json["refused"]] == ["line 2", "line 3"]


@pytest.mark.parametrize("query", ["", "format=", "format=1:metric", "format=a:metric:b", "x=y"])
def test_what_the_query_must_say(server: Any, query: str) -> None:
    assert server("POST", f"{PATH}?{query}", b"1\n").status == 400
