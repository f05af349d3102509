"""When nothing is in flight any more.

Everything of a deployment under test but Valkey and the database's threads runs in one loop. So it has settled once
nobody works on an update, a call or a message, the loop would only wait, and Redis, asked twice, brings nothing but its
own answers: what it was sent before is then done, and what it had to say is heard.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from mini_apps.testing.idle import IdleWatch
from mini_apps.testing.messages import listed
from shared.link import Link

PATIENCE: Final = 120.0  # of slow machines; a test that passes does not wait for it
PAUSE: Final = 0.002  # where something is at work although the loop only waits: a thread, a timer of milliseconds
QUESTIONS: Final = 2  # Redis answers what came with one question before the next

Work = Callable[[], Awaitable[list[str]]]


class Unsettled(AssertionError):
    """Something goes on and on; the text says what."""


class Settling:
    """Waits for a deployment to come to rest.

    Args:
        watch: on the loop, started.
        link: to the deployment's Redis, for its questions only.
        work: lists what is being worked on.
    """

    def __init__(self, watch: IdleWatch, link: Link, work: Work) -> None:
        self._watch = watch
        self._link = link
        self._work = work

    async def settled(self, patience: float = PATIENCE) -> None:
        """Wait until nothing is in flight.

        Args:
            patience: seconds.

        Raises:
            Unsettled: something still is.
        """
        until = time.monotonic() + patience
        while True:
            quiet = await self._quiet()
            work = await self._work()
            if quiet and not work:
                return
            if time.monotonic() > until:
                still = listed(work, "messages between the services, which never end")
                raise Unsettled(f"the deployment did not settle within {patience:g} s; there still is\n{still}")
            if work:
                await asyncio.sleep(PAUSE)

    async def calm(self, threads: Callable[[], list[str]]) -> None:
        """Wait until nothing moves any more by itself, though something may wait for time to pass.

        Args:
            threads: lists what is done in other threads.

        Raises:
            Unsettled: something still moves.
        """
        until = time.monotonic() + PATIENCE
        while not await self._quiet() or threads():
            if time.monotonic() > until:
                still = listed(threads(), "messages between the services, which never end")
                raise Unsettled(f"the deployment did not come to rest within {PATIENCE:g} s; there still is\n{still}")
            await asyncio.sleep(PAUSE if threads() else 0)

    async def news_or_rest(self, news: asyncio.Event) -> bool:
        """Wait until an event is set, or nothing more can set it; returns whether it is that.

        Args:
            news: set by whoever has some.

        Raises:
            Unsettled: neither comes.
        """
        some = asyncio.create_task(news.wait())
        rest = asyncio.create_task(self.settled())
        try:
            await asyncio.wait((some, rest), return_when=asyncio.FIRST_COMPLETED)
            if some.done():
                return False
            await rest
            return not news.is_set()
        finally:
            some.cancel()
            rest.cancel()
            await asyncio.gather(some, rest, return_exceptions=True)

    async def _quiet(self) -> bool:
        """Tell whether nothing happens while we ask."""
        await self._watch.idle()
        before = self._watch.events
        for _ in range(QUESTIONS):
            await self._link.call("PING")
        await self._watch.idle()
        return self._watch.events == before
