"""Why a query that could be read has no answer.

in   raised while values are computed
out  an InvalidInput that the HTTP API tells apart: 422 `execution`, not 400 `bad_data`
"""

from __future__ import annotations

from tsdb.errors import InvalidInput

__all__ = ["QueryFailed"]


class QueryFailed(InvalidInput):
    """The points do not allow the query: many-to-many matching, equal label sets, a bad `k`.

    Whether it fails depends on what is stored, so the same text may succeed at other times.
    """
