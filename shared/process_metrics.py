"""What every process tells of itself: who it is, whether it is ready and why not, how late its event loop is.

Memory, processor time and file descriptors come with the Prometheus library (`process_…`, on Linux).
"""

import asyncio
import platform
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from prometheus_client import Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from shared.version import package_version

BEAT_SECONDS: Final = 0.1  # a callback of the loop that is held up for less is not seen
LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# A second series for each counter would only say when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here

loop_lag = Histogram(
    "mini_apps_event_loop_lag_seconds",
    "How late the event loop ran what was due, asked ten times a second; above 0.1 s something blocks it",
    buckets=LAG_BUCKETS,
)


def total(metric: MetricWrapperBase) -> float:
    """Return what a counter or gauge of this process says, over all its labels."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return sum(sample.value for sample in samples)


class ProcessCollector(Collector):
    """Gives what Prometheus asks of a process as a whole.

    Args:
        kind: of the process.
        troubles: why it is not ready, each as `part: text`; empty when it is.
    """

    def __init__(self, kind: str, troubles: Callable[[], list[str]]) -> None:
        self._kind = kind
        self._troubles = troubles

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        build = InfoMetricFamily("mini_apps_build", "1; its labels tell what runs here: process, version, Python")
        build.add_metric([], {"kind": self._kind, "version": package_version(), "python": platform.python_version()})
        yield build
        troubles = self._troubles()
        yield GaugeMetricFamily("mini_apps_ready", "1 where `/readyz` says so, else 0", value=float(not troubles))
        parts = GaugeMetricFamily(
            "mini_apps_troubles",
            "1 for each part that keeps the process from being ready: starting, draining, bus (it hears nothing), "
            "nodes (the list of nodes is old)",
            labels=["part"],
        )
        for part in {trouble.partition(":")[0] for trouble in troubles}:
            parts.add_metric([part], 1.0)
        yield parts


class LoopWatch:
    """Measures how late an event loop is, from now until `stop`.

    Args:
        loop: that runs, or will.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next()

    def stop(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _next(self) -> None:
        self._due = monotonic() + BEAT_SECONDS  # the loop's own clock stands still while a callback runs
        self._timer = self._loop.call_later(BEAT_SECONDS, self._look)

    def _look(self) -> None:
        loop_lag.observe(max(0.0, monotonic() - self._due))
        self._next()
