"""An app's signals on this node: run one after the other, and `resync` in the place of those that were missed."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from mini_apps.hooks import call
from shared import trace
from shared.bus_frames import Signal, unpack
from shared.codec import decode_json

if TYPE_CHECKING:
    from mini_apps.app import App

BOUND = 1_000  # signals that may wait; then all of them give way to one `resync`
RESYNC = "resync"

signals_seen = Counter("mini_apps_ws_signals", "Signals of apps: handled, failed, dropped", ["outcome"])

log = structlog.get_logger("signals")


class Signals:
    """The signals of one app; there is a task only while there is work.

    Args:
        app: the app.
        spawn: runs a coroutine as a task of the node.
    """

    def __init__(self, app: "App", spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.channel = app.keys.signals
        self._app = app
        self._spawn = spawn
        self._limit = float(app.settings.handler_timeout) or None
        self._waiting: deque[Signal] = deque()
        self._running = False

    def serve(self, app: "App") -> None:
        """Run signals on another instance of the app from now on."""
        self._app = app
        self._limit = float(app.settings.handler_timeout) or None

    def take(self, payload: bytes) -> None:
        """Take a signal from the bus."""
        frame = unpack(payload)
        if not isinstance(frame, Signal):
            return
        if len(self._waiting) >= BOUND:
            signals_seen.labels("dropped").inc(BOUND)
            log.warning("signals come faster than on_signal handles them", app=self._app.name, dropped=BOUND)
            self._waiting.clear()
            self.missed()
        self._put(frame)

    def missed(self) -> None:
        """Let the app know that signals may be missing."""
        self._put(Signal(RESYNC, b"{}", trace=""))

    def _put(self, signal: Signal) -> None:
        self._waiting.append(signal)
        if not self._running:
            self._running = True
            self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                signal = self._waiting.popleft()
                trace.bind(signal.trace)
                await self._handle(signal.name, signal.data)
        finally:
            self._running = False

    async def _handle(self, name: str, data: bytes) -> None:
        try:
            async with self._app.clock.timeout(self._limit):
                await call(self._app.on_signal, name, decode_json(data))
        except Exception:
            signals_seen.labels("failed").inc()
            log.exception("on_signal did not finish", app=self._app.name, signal=name)
        else:
            signals_seen.labels("handled").inc()
