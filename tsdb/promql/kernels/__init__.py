"""Machine code of the evaluation: windows, range functions, aggregations."""
