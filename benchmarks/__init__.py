"""Benchmarks: one question a module; `python -m benchmarks` runs them all."""
