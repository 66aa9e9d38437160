"""What the server writes about itself: one event a line, for people or for machines.

    in   event names with fields, from us (structlog) and from libraries (logging)
    out  lines on stderr: console, or JSON with `timestamp`, `level`, `event`

Per request at most, never per point. Secrets are blanked by field name and in URLs, and control
characters are escaped, so that no client can forge a line or colour a terminal.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

__all__ = ["LOG", "configure"]

LOG: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("silverback")

REDACTED = "[redacted]"
TEXT_CHARACTERS_MAX = 1024
_SECRET = re.compile(r"authorization|cookie|password|passwd|secret|token|api.?key", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_PARAMETER = re.compile(
    r"\b(password|passwd|token|secret|api_?key|p)=[^&\s]+", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Event = MutableMapping[str, Any]


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logging through one renderer. Called once, by the composition root."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    if form == "json":
        last: structlog.typing.Processor = _json
    else:
        last = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        shared.append(escape)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    output = logging.StreamHandler(stream)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(level.upper())
    # Its own start and stop lines say less than ours; its warnings are ours to see.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def redact(logger: object, method: str, event: Event) -> Event:
    """Blank what must not be read in a log, whatever it was meant to say."""
    for name, value in event.items():
        if _SECRET.search(name):
            event[name] = REDACTED
        elif isinstance(value, str):
            limit = TEXT_CHARACTERS_MAX if name != "exception" else 64 * TEXT_CHARACTERS_MAX
            cut = value if len(value) <= limit else value[:limit] + "..."
            cut = _USER_INFO.sub(REDACTED + "@", cut)
            event[name] = _SECRET_PARAMETER.sub(rf"\1={REDACTED}", cut)
    return event


def escape(logger: object, method: str, event: Event) -> Event:
    """Control characters as \\x1b and the like; tracebacks keep their lines."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = _CONTROL.sub(lambda m: repr(m[0])[1:-1], value)
        elif name == "exception":
            lines = str(value).splitlines()
            event[name] = "\n".join(_CONTROL.sub(lambda m: repr(m[0])[1:-1], x) for x in lines)
    return event


def _json(logger: object, method: str, event: Event) -> str:
    # ASCII only: nothing then depends on what a terminal or a log shipper makes of the rest.
    return json.dumps(event, default=str, sort_keys=True)
