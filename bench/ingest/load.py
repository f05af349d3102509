"""Telegram's side of a webhook: connections that post updates and wait for the answer before the next."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import orjson

from bench.ingest.updates import update

OK = b"HTTP/1.1 200"
END = b"\r\n\r\n"


@dataclass(slots=True)
class Result:
    """What came back.

    Attributes:
        latencies: seconds from the time a post was due to its answer.
    """

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Poster(asyncio.Protocol):
    """One connection; a closed loop, or one post at each due time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self.idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        load = self._load
        load.note(ok=data.startswith(OK), latency=time.monotonic() - self._due)
        self.idle = True
        load.ready(self)

    def post(self, request: bytes, due: float) -> None:
        self.idle, self._due = False, due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Load:
    """One measurement.

    Args:
        port: of the server.
        path: of the webhook.
        secret: its header.
        first: the first `update_id`, so that runs share none.
    """

    def __init__(self, port: int, path: str, secret: str, first: int) -> None:
        self._port = port
        self._path = path
        self._secret = secret
        self._next = first
        self._left = 0
        self._result = Result()
        self._rate = 0.0
        self._due: list[float] = []
        self._over = asyncio.Event()
        self._requests: list[bytes] = []

    async def run(self, count: int, connections: int, rate: float = 0.0) -> Result:
        """Post so many updates; with a rate at even times, counted from when each was due."""
        loop = asyncio.get_running_loop()
        posters = []
        for _ in range(connections):
            _, poster = await loop.create_connection(lambda: Poster(self), "127.0.0.1", self._port)
            posters.append(poster)
        self._requests = [self._request(self._next + number) for number in range(count)]
        self._requests.reverse()
        self._left, self._rate = count, rate
        began = time.monotonic()
        if rate:
            await self._paced(posters, count, began)
        else:
            for poster in posters:
                self.ready(poster)
        async with asyncio.timeout(120):
            await self._over.wait()
        self._result.seconds = time.monotonic() - began
        for poster in posters:
            poster.close()
        return self._result

    def ready(self, poster: Poster) -> None:
        """Give an idle connection something to do."""
        if self._rate:
            if self._due:
                poster.post(self._requests.pop(), self._due.pop(0))
        elif self._requests:
            poster.post(self._requests.pop(), time.monotonic())

    def note(self, *, ok: bool, latency: float) -> None:
        self._result.done += ok
        self._result.failed += not ok
        self._result.latencies.append(latency)
        self._left -= 1
        if not self._left:
            self._over.set()

    async def _paced(self, posters: list[Poster], count: int, began: float) -> None:
        sent = 0
        while sent < count:
            now = time.monotonic()
            while sent < count and began + sent / self._rate <= now:
                self._due.append(began + sent / self._rate)
                sent += 1
            for poster in posters:
                if poster.idle and self._due:
                    self.ready(poster)
            await asyncio.sleep(0.001)

    def _request(self, number: int) -> bytes:
        body = orjson.dumps(update(number))
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-Telegram-Bot-Api-Secret-Token: {self._secret}\r\nContent-Length: {len(body)}\r\n"
            "Connection: keep-alive\r\nAccept-Encoding: gzip, deflate\r\n\r\n"
        )
        return head.encode() + body
