"""PromQL: exactly Prometheus 3.5's answers, computed for all steps of a query at once.

    text ─► parse ─► ast ─► Evaluation ─► values ─► Answer

`parse.py` makes our tree from a text; `evaluate.py` walks it once; `selectors.py` reads points
through the `select` it is given, so that one engine or a cluster can supply them; operators and
functions work on matrices of series by steps (`values.py`), a family a module.
"""
