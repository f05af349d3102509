"""The apps of a bot worker: which there are, and the tasks that run for each of them."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot_worker import server_tasks
from bot_worker.service import BotService
from mini_apps.app import App
from mini_apps.loading import prepare_anew
from mini_apps.mesh import Mesh
from mini_apps.renewal import BOT_LOOKS_UP, renewal
from shared.log import get_logger
from shared.settings import Changes, Settings
from shared.updates import UpdateLog, agree_on_lanes_patiently

log = get_logger("bot")


@dataclass(frozen=True, slots=True)
class Served:
    """One app that runs here.

    Attributes:
        app: the app.
        stopping: ends its bot when it is set.
        bot: the bot's task; None for an app without a token.
        tasks: the server tasks' task.
    """

    app: App
    stopping: asyncio.Event
    bot: asyncio.Task[None] | None
    tasks: asyncio.Task[None]

    def stop(self) -> None:
        """Stop the server tasks at once, and the bot when its running hooks are done."""
        if not self.tasks.cancelling():  # a second time would cut short the release of their lease
            self.tasks.cancel()
        self.stopping.set()


Hired = tuple[App, BotService | None]


class Apps:
    """The apps that run in a worker now.

    Args:
        mesh: what the process gives its apps.
        updates: where polled updates go.
        drain_seconds: how long running hooks may take where an app ends.
    """

    def __init__(self, mesh: Mesh, updates: UpdateLog, drain_seconds: float) -> None:
        self._mesh = mesh
        self._updates = updates
        self._group: asyncio.TaskGroup
        self._drain_seconds = max(0.0, drain_seconds)
        self._served: dict[str, Served] = {}

    async def hire(self, apps: Mapping[str, App]) -> list[Hired]:
        """Make the bots of apps that have a token; waits for Redis as long as it takes.

        Raises:
            StartError: the deployment counts lanes differently, or a bot cannot be made.
        """
        hired: list[Hired] = []
        for app in apps.values():
            service = None
            if app.settings.bot_token is not None:
                await agree_on_lanes_patiently(self._mesh.broker, app.name, self._mesh.settings.bot.lanes)
                service = BotService(app, self._updates)
            hired.append((app, service))
        return hired

    def start(self, hired: list[Hired], group: asyncio.TaskGroup) -> None:
        """Run apps, as tasks of a group, those to come too."""
        self._group = group
        for app, service in hired:
            self._start(app, service)

    async def change(self, settings: Settings, changes: Changes) -> None:
        """Run the apps of other settings.

        Args:
            settings: as read now.
            changes: what differs in them.

        Raises:
            SettingsError: an app cannot be used; nothing has changed.
            StartError: as `hire`, or the database cannot be used; nothing has changed.
            BrokerUnavailable: Redis did not answer; nothing has changed.
        """
        running = self.running
        plan = renewal(running, changes, BOT_LOOKS_UP)
        kept = {name: running[name] for name in plan.kept}
        fresh = await prepare_anew(self._mesh, settings, (*plan.added, *plan.renewed), kept)
        hired = await self.hire(fresh)
        for name, app in kept.items():
            app.use_settings(settings.apps[name])
        await self._stop((*plan.removed, *plan.renewed))  # whole: two bots of one app would share lanes and leases
        for app, service in hired:
            self._start(app, service)

    @property
    def running(self) -> dict[str, App]:
        """The apps that run now, by name."""
        return {name: served.app for name, served in self._served.items()}

    def stop(self) -> None:
        """Let all apps begin to stop: no server tasks, no more updates."""
        for served in self._served.values():
            served.stop()

    async def drain(self) -> None:
        """Stop all apps, and wait for their running hooks."""
        await self._stop(tuple(self._served))

    def _start(self, app: App, service: BotService | None) -> None:
        bot = None
        if service is None:
            log.info("no bot-token: only the server tasks of this app run here", app=app.name)
        else:
            bot = self._group.create_task(service.run(), name=app.name)
        tasks = self._group.create_task(server_tasks.run(app), name=f"{app.name}-tasks")
        stopping = service.stopping if service is not None else asyncio.Event()
        self._served[app.name] = Served(app, stopping, bot, tasks)

    async def _stop(self, names: Iterable[str]) -> None:
        """Stop apps; hooks that still run when the time is up are cut off."""
        ending = [self._served[name] for name in names]
        for served in ending:
            served.stop()
        bots = [served.bot for served in ending if served.bot is not None]
        if bots:
            _, late = await asyncio.wait(bots, timeout=self._drain_seconds)
            for bot in late:
                log.warning(
                    "hooks still run at the end of the drain; their updates are tried again", app=bot.get_name()
                )
                bot.cancel()
        await asyncio.gather(*bots, *(served.tasks for served in ending), return_exceptions=True)
        for served in ending:
            self._served.pop(served.app.name, None)
