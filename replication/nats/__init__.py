"""The replicated log in NATS JetStream: a server of its own beside each node, or the operator's.

child.py       `nats-server` as a supervised child, from a configuration that `config.py` writes
connection.py  `Nats`: one connection of a node, the door to all else
jetstream.py   the log of a shard: append, tail, trim, seal; `delivery.py` feeds its readers
kv.py          keys changed by compare-and-set, beats that expire
damage.py      finds copies of a log that have holes, and has them copied again
eviction.py    has the copies of a node that is gone made on another
log.py         the same stream as `tsdb.log.protocol.Log`
"""
