"""The database in one process: engine, log, commit pipeline and upkeep put together."""
