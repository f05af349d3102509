"""Bringing a bot's updates in: by one leader among the workers, in the mode of the settings."""

import asyncio
import itertools

from aiogram import Bot

from bot_worker import metrics
from bot_worker.api_errors import FATAL, PASSING, TokenRefused, wait_after
from bot_worker.dead_letters import reason
from bot_worker.leading import lead
from bot_worker.poller import Poller, stop_webhook
from bot_worker.webhook import WebhookKeeper
from mini_apps.app import App
from shared.leases import Lease, Names
from shared.log import get_logger
from shared.updates import UpdateLog

log = get_logger("bot")


class Ingest:
    """Competes for the lead, and polls or keeps the webhook while it has it.

    Args:
        app: whose bot.
        bot: to call with.
        updates: where polled updates go.
        kinds: of updates to ask for.
    """

    def __init__(self, app: App, bot: Bot, updates: UpdateLog, kinds: list[str]) -> None:
        self._app = app
        self._bot = bot
        self._updates = updates
        self._kinds = kinds

    async def run(self) -> None:
        """Compete and lead until cancelled.

        Raises:
            TokenRefused: Telegram does not know the token.
            NoPublicUrl: the gateway has no address for a webhook.
        """
        keys, mesh = self._app.keys, self._app.mesh
        names = Names(keys.lease("poller"), keys.fence("poller"))
        await lead(Lease(mesh.broker, names, mesh.node_id), self._lead, mesh.clock)

    async def _lead(self) -> None:
        mode = self._app.settings.ingest
        log.info("this worker brings the updates in", app=self._app.name, ingest=mode)
        metrics.leader.labels(self._app.name).set(1)
        try:
            forget = self._app.settings.drop_pending_updates and await self._first_time()
            if mode == "webhook":
                await WebhookKeeper(self._app, self._bot, self._kinds).run(forget=forget)
            else:
                await self._poll(forget=forget)
        finally:
            metrics.leader.labels(self._app.name).set(0)

    async def _poll(self, *, forget: bool) -> None:
        for failures in itertools.count(1):
            try:
                await stop_webhook(self._app, self._bot, forget=forget)
            except FATAL:
                raise TokenRefused(self._app.name) from None
            except PASSING as error:
                self._app.log.warning("polling cannot begin yet", reason=reason(error))
                await asyncio.sleep(wait_after(error, failures))
            else:
                break
        bot = self._app.keys.bot
        # Noted only now: who takes the lead from one that stopped before it dropped anything has to drop it.
        await self._app.mesh.broker.together(("HDEL", bot, "webhook"), ("HSET", bot, "ingested", self._bot.id))
        await Poller(self._app, self._bot, self._updates, self._kinds).run()

    async def _first_time(self) -> bool:
        """Tell whether nobody of this deployment brought this bot's updates in before."""
        words = ("HEXISTS", self._app.keys.bot, "ingested")
        return not await self._app.mesh.broker.own.execute_command(*words)
