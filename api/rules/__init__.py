"""Recording and alerting rules, as Prometheus evaluates them.

    rule files ─► reading ─► Group ─► evaluate at a moment ─► points (written like any other)
                                                          └─► alerts (sent to Alertmanagers)

`recording.py` and `alerting.py` are pure: samples and a moment in, points and states out.
`ruler.py` owns clocks and tasks, `sender.py` the network.
"""
