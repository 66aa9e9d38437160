"""Labels in a path, as the Pushgateway has them: `/job/backup/instance/db%2F1/dir@base64/L3Zhcg`.

    in   the raw path after `/metrics`
    out  labels by name; InvalidInput says what is wrong

A value with a slash, or an empty one, comes in base64 (the URL's alphabet, padding optional) behind
a name that ends with @base64. `job` comes first and wins over a second one.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from tsdb.errors import InvalidInput
from tsdb.index.quoting import is_label_name, shown

__all__ = ["group_of"]

BASE64 = "@base64"
RESERVED = "__"
_ALPHABET = re.compile(rb"[A-Za-z0-9_-]*")


def group_of(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Labels in the order of their names; one that is empty is named too: it replaces others."""
    parts = [unquote_to_bytes(part) for part in path.removeprefix(b"/").split(b"/")]
    if len(parts) > 2 and not parts[-1] and len(parts) % 2:
        parts.pop()  # a slash at the end
    if len(parts) % 2:
        raise InvalidInput(f"odd number of components in {shown(path.decode('latin-1'))}")
    found: dict[str, bytes] = {}
    for raw, text in zip(parts[::2], parts[1::2], strict=True):
        name, value = _label(raw, text)
        found.setdefault(name, value)
    if next(iter(found)) != "job" or not found["job"]:
        raise InvalidInput("job name is required")
    return tuple(sorted((name.encode(), value) for name, value in found.items()))


def _label(raw: bytes, text: bytes) -> tuple[str, bytes]:
    try:
        name = raw.decode()
        text.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the path is not valid UTF-8") from None
    plain = name.removesuffix(BASE64)
    if not is_label_name(plain) or plain.startswith(RESERVED):
        raise InvalidInput(f"improper label name {shown(plain)}")
    if plain == name:
        return plain, text
    stripped = text.rstrip(b"=")
    if not _ALPHABET.fullmatch(stripped) or len(stripped) % 4 == 1:
        raise InvalidInput(f"label {plain}: {shown(text.decode())} is not base64 of URLs")
    return plain, base64.urlsafe_b64decode(stripped + b"=" * (-len(stripped) % 4))
