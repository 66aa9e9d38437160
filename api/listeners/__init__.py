"""Ports beside HTTP's, for protocols that are lines: Graphite and OpenTSDB's telnet.

    in   bytes of TCP connections and UDP datagrams, cut anywhere
    out  blocks of whole lines, each one write of the database

`listeners.py` opens and closes what the settings name; `stream.py` is one connection,
`datagrams.py` the UDP socket, `framing.py` cuts lines, `dialects.py` knows the protocols and
`intake.py` writes, counts and logs. A connection has one write under way, so its lines stay in
order, and what arrives meanwhile is the next write: the busier a sender, the larger the blocks.
Past a bound nothing more is read, and the sender's TCP waits.
"""
