"""Recent points, compressed, in memory."""
