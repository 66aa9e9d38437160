"""Silverback's engine, usable as a library. Importing it costs numpy and the standard library."""
