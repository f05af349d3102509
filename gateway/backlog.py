"""What waits in Redis and how the bots are doing, for Prometheus: read every few seconds by each gateway.

Gateways tell it because they are there when bot workers are not. All tell the same, so a query takes the largest
(`max by (app, lane) (…)`), never the sum.
"""

from collections.abc import Iterable

import structlog
from redis.exceptions import RedisError

from gateway import metrics
from mini_apps.bot_status import BotReport, BotStatus, read_report
from shared.backlog import Backlog, read_backlog
from shared.broker import UNREACHABLE, Broker
from shared.nodes import live_nodes
from shared.periodic import Periodic
from shared.settings import Settings, enabled

READ_SECONDS = 5.0

log = structlog.get_logger("backlog")


class BacklogWatch(Periodic):
    """Keeps the numbers fresh while its block runs; while Redis does not answer there are none, rather than old ones.

    Args:
        broker: the open broker.
        settings: name the apps.
    """

    def __init__(self, broker: Broker, settings: Settings) -> None:
        super().__init__(READ_SECONDS, "backlog")
        self._broker = broker
        self._apps = sorted(enabled(settings))

    def serve(self, settings: Settings) -> None:
        """Watch the apps of these settings from now on."""
        self._apps = sorted(enabled(settings))

    async def _once(self) -> None:
        try:
            kinds = [node.kind for node in await live_nodes(self._broker)]
            backlogs = [await read_backlog(self._broker, app) for app in self._apps]
            reports = {app: await read_report(self._broker.own, self._broker.keys, app) for app in self._apps}
        except (*UNREACHABLE, RedisError) as error:
            log.debug("what waits could not be read", error=str(error) or type(error).__name__)
            _forget()
            return
        _forget()
        _tell_processes(kinds)
        for backlog in backlogs:
            _tell_backlog(backlog)
        for app, report in reports.items():
            _tell_bot(app, report)


def _forget() -> None:
    """Drop what was told before: lanes and apps that are gone, and all of it while Redis is away."""
    for gauge in metrics.OF_REDIS:
        gauge.clear()


def _tell_processes(kinds: Iterable[str]) -> None:
    found = list(kinds)
    for kind in ("gateway", "bot", "ws"):
        metrics.processes.labels(kind).set(found.count(kind))


def _tell_backlog(backlog: Backlog) -> None:
    app = backlog.app
    for lane in backlog.lanes:
        metrics.lane_lag.labels(app, lane.lane).set(lane.stream.lag)
        metrics.lane_pending.labels(app, lane.lane).set(lane.stream.pending)
        metrics.lane_oldest.labels(app, lane.lane).set(lane.stream.oldest_seconds)
        metrics.lane_owned.labels(app, lane.lane).set(bool(lane.owner))
    for stream, found in backlog.calls.items():
        metrics.calls_waiting.labels(app, stream).set(found.waiting)
        metrics.calls_oldest.labels(app, stream).set(found.oldest_seconds)
    metrics.dead_letters.labels(app).set(backlog.dead)
    metrics.workers.labels(app).set(backlog.workers)


def _tell_bot(app: str, report: BotReport) -> None:
    for status in BotStatus:
        metrics.bot_status.labels(app, status.value).set(status is report.status)
    metrics.flood_wait.labels(app).set(report.wait)
