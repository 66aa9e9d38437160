"""Older points: immutable, checksummed, on disk."""
