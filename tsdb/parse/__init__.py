"""Bytes to `Parsed`, pure."""
