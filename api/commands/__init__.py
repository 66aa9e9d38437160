"""The commands of `silverback`, one module a family; `api.cli` puts them together."""
