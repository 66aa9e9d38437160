"""What a parser left out: the first sentences, and a count of the rest.

    in   sentences, one for each refused line or point
    out  `Parsed.skipped`: at most SENTENCES_MAX + 1 of them, the last one then the count

A body is not lost for one wrong line; but a body of wrong lines is in another format, and each
wrong line costs Python time: past LINES_REFUSED_MAX the body is refused whole.
"""

from __future__ import annotations

from tsdb import limits
from tsdb.errors import LimitExceeded

__all__ = ["Refused"]


class Refused:
    """Sentences in the order they came."""

    __slots__ = ("_sentences", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Note one refusal; LimitExceeded when there are too many to go on."""
        self.count += 1
        if len(self._sentences) < limits.SENTENCES_MAX:
            self._sentences.append(sentence)
        if self.count > limits.LINES_REFUSED_MAX:
            raise LimitExceeded(
                f"too many wrong lines, the first: {self._sentences[0]}",
                limit="LINES_REFUSED_MAX",
                value=limits.LINES_REFUSED_MAX,
            )

    @property
    def more(self) -> int:
        """How many there are beyond those that `told` holds."""
        return self.count - len(self._sentences)

    def told(self) -> tuple[str, ...]:
        """The first sentences, for `Parsed.skipped` beside `Parsed.skipped_more`."""
        return tuple(self._sentences)

    def sentences(self) -> tuple[str, ...]:
        more = self.count - len(self._sentences)
        if not more:
            return tuple(self._sentences)
        return (*self._sentences, f"and {more:,} more were refused")
