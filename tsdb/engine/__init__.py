"""The state machine over the log: apply entries, answer reads, turn heads into blocks."""
