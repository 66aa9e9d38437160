"""Messages between nodes and logs: late, lost, out of order, twice.

in   appends of nodes
out  records in logs, and what nodes hear of them
"""

from __future__ import annotations

from typing import Any

from cluster.sim_log import Attempt, Flight
from cluster.sim_node import SimNode

HOUR_NS = 3_600_000_000_000
FLIGHT_NS_MAX = HOUR_NS  # no connection holds a message for longer


class Network:
    """Of one simulation."""

    def __init__(self, sim: Any) -> None:
        self.sim = sim
        self.flights: list[Flight] = []

    def send(self, node: SimNode, attempts: list[Attempt]) -> None:
        self.flights += [Flight(node.name, node.life, attempt) for attempt in attempts]

    def deliver(self) -> bool:
        """One message that is under way, anyone; False when there is none."""
        self.flights = [f for f in self.flights if not self.is_lost(f.attempt)]
        if not self.flights:
            return False
        flight = self.flights.pop(self.sim.rng.randrange(len(self.flights)))
        log, node = self.sim.logs[flight.attempt.shard], self.sim.node(flight.node)
        if flight.seq is not None:
            self.hear(node, flight)
        elif node.is_cut and flight.life == node.life:
            self.flights.append(flight)
        elif not log.has_majority:
            if self.sim.rng.random() < 0.7:  # a minority holds it, and may bring it along later
                self.flights.append(flight)
        else:
            skew_ns = self.sim.rng.choice([0, 0, 0, -5_000_000_000])  # a leader with another clock
            flight.seq = log.commit(
                flight.attempt.payload, flight.attempt.message_id, self.sim.now_ns + skew_ns
            )
            if "retry" not in self.sim.chances.weights or self.sim.rng.random() < 0.9:
                self.flights.append(flight)  # else the ack is lost
        return True

    def is_lost(self, attempt: Attempt) -> bool:
        """No connection holds a message for so long."""
        behind = self.sim.logs[attempt.shard].last_seq - attempt.began_seq
        return (
            self.sim.now_ns - attempt.began_ns > FLIGHT_NS_MAX
            or behind > self.sim.chances.expiry // 2
        )

    def hear(self, node: SimNode, flight: Flight) -> None:
        if node.is_paused:
            self.flights.append(flight)
        elif flight.life == node.life and flight.attempt.outcome is None:
            flight.attempt.outcome = flight.seq
            self.heard(node)

    def heard(self, node: SimNode) -> None:
        self.send(node, node.heard())

    def repeat(self) -> bool:
        """A message comes a second time, when its id may be forgotten."""
        if not self.flights:
            return False
        flight = self.sim.rng.choice(self.flights)
        self.flights.append(Flight(flight.node, -1, flight.attempt))
        return True
