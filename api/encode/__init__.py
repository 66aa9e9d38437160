"""Columns to bytes: JSON, CSV, Arrow. Pure."""
