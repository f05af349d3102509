"""One client of a churn run: logs in, enters its channels, comes back with its positions, and checks what it gets."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from bench.churn.ledger import Ledger
from bench.churn.socket import Socket

CONNECT_SECONDS = 10.0
LEFT, CUT = "left by itself", "vanished"
ENDED = "was cut off"
SAMPLE = 50


class Seat:
    """Where a client stands in one channel.

    Attributes:
        expected: number of the next message.
        offset: of the last message it has.
        grant: the newest proof that it was let in.
    """

    __slots__ = ("expected", "grant", "offset")

    def __init__(self) -> None:
        self.expected = 0
        self.offset = -1
        self.grant = ""


class Member:
    """A user with one client.

    Args:
        number: of the client.
        channels: that it is in.
        init_data: for its first login.
        nodes: gives the addresses of the nodes that take clients now.
        ledger: where all write what they see.
        app: to log in to.

    Attributes:
        session: its newest session token.
    """

    def __init__(
        self,
        number: int,
        channels: list[str],
        init_data: str,
        nodes: Callable[[], list[tuple[str, int]]],
        ledger: Ledger,
        app: str = "churn",
    ) -> None:
        self.number = number
        self.session = ""
        self.seats = {channel: Seat() for channel in channels}
        self.inside = asyncio.Event()  # it is in all its channels
        self._init_data = init_data
        self._nodes = nodes
        self._ledger = ledger
        self._app = app
        self._socket: Socket | None = None
        self._gone = asyncio.Event()
        self._why = ""
        self._lost_at = 0.0
        self._wait = 0.0
        self._entered = 0

    @property
    def connected(self) -> bool:
        """Whether it is logged in now."""
        return self.inside.is_set() and not self._gone.is_set() and not self._why

    async def live(self) -> None:
        """Stay connected for ever."""
        while True:
            await self._connect()
            await self._gone.wait()
            await asyncio.sleep(self._wait)

    def go(self, *, politely: bool, wait: float) -> bool:
        """Leave and come back after `wait` seconds; false when it is not connected now."""
        socket = self._socket
        if socket is None or not self.connected:
            return False
        self._why, self._wait = LEFT if politely else CUT, wait
        if politely:
            socket.close()
        else:
            socket.abort()
        return True

    async def _connect(self) -> None:
        self._gone.clear()
        self._entered = 0
        while True:
            nodes = self._nodes()
            if nodes:
                host, port = random.choice(nodes)
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await asyncio.get_running_loop().create_connection(self._new_socket, host, port)
                except OSError:  # a time-out is one too
                    self._ledger.refused += 1
                else:
                    return
            await asyncio.sleep(random.uniform(0.05, 0.3))

    def _new_socket(self) -> Socket:
        self._socket = Socket(self._take, self._end)
        return self._socket

    def _end(self, code: int) -> None:
        if self._gone.is_set():
            return
        self._lost_at = self._lost_at or time.monotonic()  # else it is a try to come back that failed
        if self._why not in (LEFT, CUT):
            self._why = f"{ENDED} ({code})"
            self._ledger.closes[code] += 1
            self._wait = self._wait or random.uniform(0.05, 0.5)
        self._socket = None
        self._gone.set()

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "tick":
                self._tick(message)
            case "connect":
                self._log_in()
            case "welcome":
                self._welcome(message)
            case "joined":
                seat = self.seats[message["channel"]]
                seat.offset, seat.grant = message["offset"], message["grant"]
                self._entered += 1
                if self._entered == len(self.seats):
                    self.inside.set()
            case "resync":
                if "channel" not in message:  # what has no history may have been missed; channels that have some go on
                    self._ledger.resyncs += 1
                else:
                    self._ledger.told[f"resync: {message['reason']}"] += 1
                    self._ledger.fault(f"client {self.number}: {message}")
                    self.seats[message["channel"]].expected = -1
            case "reconnect":
                self._wait = float(message["retry_after"])
            case "error" | "disconnect" | "left":
                self._ledger.errors[str(message.get("code", message["type"]))] += 1
                self._ledger.fault(f"client {self.number}: {message}")

    def _log_in(self) -> None:
        assert self._socket is not None
        if not self.inside.is_set():
            self._socket.send(type="login", app=self._app, data=self._init_data)
            return
        channels = {name: {"offset": seat.offset, "grant": seat.grant} for name, seat in self.seats.items()}
        self._socket.send(type="login", app=self._app, session=self.session, channels=channels)

    def _welcome(self, message: dict[str, Any]) -> None:
        self.session = message["session"]
        if not self.inside.is_set():
            for channel in self.seats:
                assert self._socket is not None
                self._socket.send(type="subscribe", channel=channel)
            return
        self._ledger.back(self._why, time.monotonic() - self._lost_at)
        self._why, self._lost_at, self._wait = "", 0.0, 0.0
        for name, seat in self.seats.items():
            standing = message["channels"].get(name)
            if standing is None:
                self._ledger.shut_out += 1
                self._ledger.fault(f"client {self.number}: shut out of {name}")
                continue
            seat.grant = standing["grant"]
            if not standing["recovered"]:
                self._ledger.told[standing["reason"]] += 1
                self._ledger.fault(f"client {self.number} in {name} at {seat.offset}: {standing}")
                seat.offset, seat.expected = standing["offset"], -1
            elif standing["offset"] != seat.offset:
                self._ledger.fault(f"client {self.number} in {name} at {seat.offset}: {standing}")
                self._ledger.gaps += 1

    def _tick(self, message: dict[str, Any]) -> None:
        ledger, seat, number = self._ledger, self.seats[message["channel"]], message["n"]
        if seat.expected < 0:  # it was told that it missed something; what follows counts again
            seat.expected = number
        if number < seat.expected or message["offset"] <= seat.offset:
            ledger.duplicates += 1
            ledger.fault(f"client {self.number}: {message} again, expected {seat.expected} after {seat.offset}")
            return
        if number > seat.expected:
            ledger.gaps += number - seat.expected
            ledger.fault(f"client {self.number}: {message}, expected {seat.expected} after {seat.offset}")
        seat.expected, seat.offset = number + 1, message["offset"]
        ledger.delivered += 1
        delay = (time.time_ns() - message["t"]) / 1e9
        ledger.longest = max(ledger.longest, delay)
        if ledger.delivered % SAMPLE == 0:
            ledger.delays.append(delay)
