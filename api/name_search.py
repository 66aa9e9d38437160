"""How well a name fits what somebody types: the scores of Prometheus' search API.

    in   search terms, an algorithm, a threshold, whether capitals count
    out  Search: the score of a name, 0 to 1, or None where no term fits

`subsequence` (Prometheus' UI has it from mattyork/fuzzy): the characters of a term in their order;
runs count by the square of their length, gaps against it. `jarowinkler` (Winkler, 1990): the term
within the name, or a similarity from the threshold on. Both are quadratic in the lengths in the
worst case, so names above NAME_CHARACTERS_MAX are only asked whether they contain the term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["ALGORITHMS", "Search", "jaro_winkler", "subsequence"]

NAME_CHARACTERS_MAX = 256
WINKLER_WEIGHT, WINKLER_PREFIX_MAX = 0.1, 4
WITHIN = 0.9  # the score of a name that contains the term, but not at its beginning


class Search:
    """What a request looks for; without terms it is everything."""

    def __init__(
        self, terms: Sequence[str], algorithm: str, threshold: float, *, case_sensitive: bool
    ) -> None:
        self._fold = _same if case_sensitive else str.lower
        self._terms = [self._fold(term) for term in terms]
        self._fits = ALGORITHMS[algorithm]
        self._threshold = threshold

    def score(self, name: str) -> float | None:
        """Of the term that fits best."""
        if not self._terms:
            return 1.0
        name = self._fold(name)
        found = [self._of_term(term, name) for term in self._terms]
        return max((score for score in found if score is not None), default=None)

    def _of_term(self, term: str, name: str) -> float | None:
        if name.startswith(term):
            return 1.0
        if len(name) > NAME_CHARACTERS_MAX:
            return WITHIN if term in name else None
        return self._fits(term, name, self._threshold)


def _same(text: str) -> str:
    return text


def _by_subsequence(term: str, name: str, threshold: float) -> float | None:
    score = subsequence(term, name)
    return score if score > 0 and score >= threshold else None


def _by_similarity(term: str, name: str, threshold: float) -> float | None:
    if term in name:
        return WITHIN
    if threshold <= 0:
        return None
    score = jaro_winkler(term, name)
    return score if score >= threshold else None


ALGORITHMS: dict[str, Callable[[str, str, float], float | None]] = {
    "subsequence": _by_subsequence,
    "jarowinkler": _by_similarity,
}


def subsequence(term: str, name: str) -> float:
    """The best of all places to begin at, each followed greedily; 0 if there is none."""
    best = -1.0
    last = len(name) - len(term)
    start = name.find(term[0])
    while 0 <= start <= last:
        score = _from(start, term, name)
        if score is None:
            break
        best = max(best, score)
        start = name.find(term[0], start + 1)
    return 0.0 if best < 0 else best / (len(term) * len(term))


def _from(start: int, term: str, name: str) -> float | None:
    """Squares of the runs less what is between them, as a part of the name; half of what is
    after them. None if the term does not end."""
    part = 1.0 / len(name)
    score, done, at, end = 0.0, 0, start, 0
    while done < len(term):
        begin = at = name.find(term[done], at)
        if at < 0:
            return None
        while done < len(term) and at < len(name) and name[at] == term[done]:
            done += 1
            at += 1
        score -= (begin - end) * part
        score += (at - begin) * (at - begin)
        end = at
    return score - (len(name) - end) * part * 0.5


def jaro_winkler(one: str, other: str) -> float:
    """Similarity of two texts that are not equal, from 0 to 1."""
    if len(one) > len(other):
        one, other = other, one
    if not one:
        return 0.0
    reach = max(len(other) // 2 - 1, 0)
    taken = [False] * len(other)
    mine = []
    for i, character in enumerate(one):
        for j in range(max(i - reach, 0), min(i + reach + 1, len(other))):
            if not taken[j] and other[j] == character:
                taken[j] = True
                mine.append(character)
                break
    if not mine:
        return 0.0
    theirs = [character for j, character in enumerate(other) if taken[j]]
    swapped = sum(a != b for a, b in zip(mine, theirs, strict=True))
    matches = len(mine)
    jaro = matches * (1.0 / len(one)) + matches * (1.0 / len(other))
    jaro = (jaro + (matches - swapped * 0.5) / matches) / 3.0
    prefix = 0
    while prefix < min(WINKLER_PREFIX_MAX, len(one)) and one[prefix] == other[prefix]:
        prefix += 1
    return jaro + prefix * WINKLER_WEIGHT * (1.0 - jaro)
