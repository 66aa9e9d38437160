"""Where we answer otherwise than Prometheus 3.5 on purpose, or where nobody can tell.

in   a question
out  why it is not asked, None if it is
"""

from __future__ import annotations

import re

from promql.differential.answers import Question

__all__ = ["DEVIATIONS", "deviation"]

# Searched in the text of a question.
DEVIATIONS: dict[str, str] = {
    r"\b(ln|log2|log10)\(.*(tiny|odd)": "Go's logarithms of subnormal numbers are wrong by 4 %",
    r"\b(sin|cos|tan)\(.*(\^|exp|huge|odd|std|sum|cancelling|deriv)": (
        "of large arguments: one bit of the argument changes every digit"
    ),
    r"%.*\b(a?sinh?|a?cosh?|a?tanh?|exp|ln|log2|log10|atan2)\b": (
        "a remainder shows the last bit of what divides, times the quotient"
    ),
    r"\blimitk\b": "any series will do, and both take the first they meet",
    r"count_values.*\b(a?sinh?|a?cosh?|a?tanh?|exp|ln|log2|log10|rad|\^|atan2|std\w+|deriv)\b": (
        "labels made of values show their last bit, which differs between libraries"
    ),
}
_UNALIGNED = "a subquery is evaluated beyond the last step, where only its warnings show"


def deviation(question: Question) -> str | None:
    for pattern, reason in DEVIATIONS.items():
        if re.search(pattern, question.text):
            return reason
    beyond = question.step and (question.end - question.start) % question.step
    return _UNALIGNED if beyond and re.search(r"\[[\w.]+:", question.text) else None
