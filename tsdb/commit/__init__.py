"""From many writers to one ordered, durable log: the gate, then group commit."""
