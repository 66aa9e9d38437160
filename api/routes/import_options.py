"""Options of imports as VictoriaMetrics has them, in the query string.

in   query string, names that the route knows beside `ack` and `extra_label`
out  Options; InvalidInput names what is unknown or wrong
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from api.queries import ack_of_word
from tsdb.commit.request import Ack
from tsdb.errors import InvalidInput

__all__ = ["Options", "Pairs", "options_of"]

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Options:
    """`extra` are labels that every series gets, in place of its own."""

    ack: Ack = Ack.DISK
    extra: Pairs = ()
    more: dict[str, str] = field(default_factory=dict)


def options_of(query_string: bytes, *names: str) -> Options:
    if not query_string:
        return Options()
    ack, more = Ack.DISK, {}
    extra: dict[bytes, bytes] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name == "ack":
            ack = ack_of_word(value)
        elif name == "extra_label":
            label, equals, text = value.partition("=")
            if not equals or not label:
                raise InvalidInput(f"extra_label={value!r} is not name=value")
            extra[label.encode()] = text.encode()
        elif name in names:
            more[name] = value
        else:
            known = ", ".join(("ack", "extra_label", *names))
            raise InvalidInput(f"query parameter {name!r} is unknown; there are {known}")
    return Options(ack, tuple(extra.items()), more)
