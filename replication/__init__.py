"""Many engines behave as one: shards over nodes on a replicated log.

`api -> replication -> tsdb`, never back. A single node imports nothing from here but the
shape of its settings.
"""
