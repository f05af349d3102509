"""What all clients of a churn run saw, counted as it happens."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """The books of one run.

    Attributes:
        delivered: messages that clients got, each once.
        gaps: messages that a client did not get although nobody told it so.
        duplicates: messages that a client got again, or out of order.
        told: reasons of `recovered: false` and `resync`: clients told that they missed something in a channel.
        resyncs: clients told that they may have missed something that has no history.
        shut_out: channels that did not let a client back in.
        reconnects: logins with a session token, by what ended the connection before.
        refused: tries to connect to a node that was not there.
        closes: connections that the server ended, by close code.
        errors: `error` messages by code, and refusals to log in.
        away: seconds from the end of a connection to the next `welcome`, by what ended it.
        delays: seconds from publish to arrival of one message in 50, those that were missed and recovered included.
        longest: the largest of all such delays.
        faults: the first wrong things in words.
    """

    delivered: int = 0
    gaps: int = 0
    duplicates: int = 0
    told: Counter[str] = field(default_factory=Counter)
    resyncs: int = 0
    shut_out: int = 0
    reconnects: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    away: dict[str, list[float]] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    longest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Keep one of the first wrong things, to look into."""
        if len(self.faults) < 20:
            self.faults.append(text)

    def back(self, why: str, seconds: float) -> None:
        """Count a client that is logged in again."""
        self.reconnects[why] += 1
        self.away.setdefault(why, []).append(seconds)


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest of some seconds, as milliseconds."""
    if not values:
        return {}
    ordered = sorted(values)
    places = {"p50": len(ordered) // 2, "p99": min(len(ordered) - 1, len(ordered) * 99 // 100), "max": -1}
    return {name: round(1000 * ordered[place], 1) for name, place in places.items()}
