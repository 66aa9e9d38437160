"""Which series exist and which match a selector."""
