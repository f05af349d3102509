"""The lease of `server_tasks` in a worker that stops as it should."""

from collections.abc import Callable, Iterable
from typing import Any

from mini_apps import App
from mini_apps.testing import MiniAppTest


class Ticking(App):
    """Has a task."""

    def server_tasks(self) -> Iterable[Any]:
        return [self.note]

    async def note(self) -> None:
        await self.broadcast(type="runs", fence=self.fence)


async def test_a_worker_that_stops_gives_the_tasks_to_the_next_at_once(
    mini_app_test: Callable[..., MiniAppTest],
) -> None:
    async with mini_app_test(Ticking) as t:
        ada = await t.open("ada")
        await t.worker.stop()
        assert await t.redis.get(t.app.keys.lease("tasks")) is None
        await t.worker.start()
        await ada.receive("runs", fence=2, timeout=30)
