"""What a node counts, of which `docs/metrics.md` is made.

Plain integers on the hot path; Prometheus reads them when it scrapes.
"""

import re
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ws_server.hub import Hub

MOST_REASONS: Final = 50
REASON: Final = re.compile("[A-Za-z][A-Za-z _]{0,30}")
GAUGES: Final = {
    "connections": "Open sockets, the one that asks among them",
    "capacity": "The most sockets the node takes (`ws.max-connections`), 0 for no limit",
    "queue_bytes": "Bytes that wait on the node for clients to read",
    "groups": "Users, channels and apps with clients here",
    "subscriptions": "Bus channels the node hears for its groups",
}
HANDLER_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0)  # seconds


class Durations:
    """A histogram of how long handlers ran; Prometheus' own costs a tenth of an echo."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(HANDLER_BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one run."""
        self.counts[bisect_left(HANDLER_BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return what Prometheus wants: each upper bound and how many runs were not longer."""
        bounds = [*map(str, HANDLER_BUCKETS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


@dataclass(slots=True)
class Counts:
    """Counters of one node since its start."""

    accepted: int = 0
    messages_in: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    messages_out: int = 0
    handler_errors: int = 0
    handlers: dict[str, Durations] = field(default_factory=dict)
    logins: Tally[str] = field(default_factory=Tally)
    closes: Tally[str] = field(default_factory=Tally)

    def refused(self, reason: str) -> None:
        """Count a login that was refused; the author's own reasons may be any text, so only plain and few ones show."""
        known = reason in self.logins or len(self.logins) < MOST_REASONS
        self.logins[reason if known and REASON.fullmatch(reason) else "other"] += 1


class NodeCollector(Collector):
    """Gives a node's counters to Prometheus.

    Args:
        counts: the counters.
        hub: counts what it fans out.
        recoveries: how often clients, and the node itself, missed nothing, or why they did.
        gauges: functions giving the present value, by the names in `GAUGES`.
    """

    def __init__(
        self, counts: Counts, hub: Hub, recoveries: Tally[str], gauges: dict[str, Callable[[], float]]
    ) -> None:
        self._counts = counts
        self._hub = hub
        self._recoveries = recoveries
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        counts, hub = self._counts, self._hub
        plain = {
            "accepted": ("Sockets accepted", counts.accepted),
            "messages_in": ("Messages of clients", counts.messages_in),
            "received_bytes": ("Bytes of messages of clients", counts.bytes_in),
            "messages_out": (
                "Messages to single clients: replies, errors, welcomes, `client.send`",
                counts.messages_out,
            ),
            "frames_out": ("Frames fanned out: a broadcast to 100 clients makes 100", hub.frames_out),
            "sent_bytes": ("Bytes of messages and frames to clients", counts.bytes_out + hub.bytes_out),
            "dropped": ("Messages that clients which were behind did not get", hub.dropped),
            "replaced": ("Messages in whose place a client that was behind got a newer one", hub.replaced),
            "handler_errors": ("Messages whose handler failed or ran out of time", counts.handler_errors),
        }
        for name, (text, value) in plain.items():
            yield CounterMetricFamily(f"mini_apps_ws_{name}", text, value=value)
        handlers = HistogramMetricFamily("mini_apps_ws_handler_seconds", "Time of App.handle_message", labels=["app"])
        for app, durations in counts.handlers.items():
            handlers.add_metric([app], durations.buckets(), durations.total)
        yield handlers
        yield _tally(
            "mini_apps_ws_logins",
            "Logins: welcome, or why not; reasons of an app's own that are no plain words are `other`",
            "verdict",
            counts.logins,
        )
        yield _tally(
            "mini_apps_ws_closes",
            "Sockets the node closed, by close code; 4002 are clients that read too slowly",
            "code",
            counts.closes,
        )
        yield _tally(
            "mini_apps_ws_recoveries",
            "Positions clients came back with: recovered, or why not; `node: …` are gaps the node could not mend",
            "outcome",
            self._recoveries,
        )
        for name, read in self._gauges.items():
            yield GaugeMetricFamily(f"mini_apps_ws_{name}", GAUGES[name], value=read())


def _tally(name: str, text: str, label: str, tally: Tally[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in tally.items():
        family.add_metric([value], count)
    return family
