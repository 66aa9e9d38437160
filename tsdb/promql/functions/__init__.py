"""Functions of PromQL, one family a module; each module's FAMILY maps names to handlers.

    in   the evaluation, the call, the grid of steps
    out  a value for every step

A handler evaluates its own arguments, so a range function reads windows and an ordinary one
reads vectors. `tsdb.promql.evaluate` joins the families.
"""
