"""Columns of one series from several sources, merged in the order of truth."""
