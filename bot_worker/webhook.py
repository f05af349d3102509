"""Webhook mode: tell Telegram once per deployment where to send updates, and notice when it cannot.

Source: https://core.telegram.org/bots/api#setwebhook
"""

import asyncio
import hashlib
import hmac
from typing import Any, Final

import orjson
from aiogram import Bot
from aiogram.types import WebhookInfo

from bot_worker.api_errors import FATAL, PASSING, TokenRefused, wait_after
from bot_worker.dead_letters import reason
from mini_apps.app import App
from shared.log import get_logger

log = get_logger("bot")

CHECK_SECONDS: Final = 60.0
MAX_CONNECTIONS: Final = 40


class NoPublicUrl(Exception):
    """There is no address to give to Telegram."""


class WebhookKeeper:
    """Sets the webhook of one bot where Telegram has another, and reports what Telegram complains about.

    Args:
        app: whose bot.
        bot: to call with.
        kinds: of updates to ask for.

    Raises:
        NoPublicUrl: `gateway.public-url` is not set.
    """

    def __init__(self, app: App, bot: Bot, kinds: list[str]) -> None:
        self._app = app
        self._bot = bot
        public = app.mesh.settings.gateway.public_url
        if not public:
            raise NoPublicUrl(
                "ingest is webhook, but gateway.public-url is not set: Telegram cannot be told where to send"
            )
        self._url = f"{public.rstrip('/')}/webhook/{app.settings.webhook_path()}"
        self._secret = app.settings.effective_webhook_secret() or ""
        self._kinds = kinds
        self._told = 0  # date of the last complaint that was logged

    async def run(self, *, forget: bool) -> None:
        """Keep the webhook until cancelled.

        Args:
            forget: drop what waits at Telegram when it is set first.

        Raises:
            TokenRefused: the token is not valid.
            aiogram.exceptions.TelegramAPIError: Telegram does not take the address.
        """
        failures = 0
        while True:
            try:
                await self._keep(forget=forget)
            except FATAL:
                raise TokenRefused(self._app.name) from None
            except PASSING as error:
                failures += 1
                self._app.log.warning("the webhook cannot be checked; this is repeated", reason=reason(error))
                await asyncio.sleep(wait_after(error, failures))
                continue
            failures, forget = 0, False
            await asyncio.sleep(CHECK_SECONDS)

    async def _keep(self, *, forget: bool) -> None:
        info = await self._bot.get_webhook_info()
        known = await self._app.redis.hget(self._app.keys.bot, "webhook")
        wanted = self._digest()
        if info.url != self._url or known != wanted.encode():
            await self._bot.set_webhook(
                self._url,
                secret_token=self._secret,
                allowed_updates=self._kinds,
                max_connections=MAX_CONNECTIONS,
                drop_pending_updates=forget or None,
            )
            values: dict[Any, Any] = {"webhook": wanted, "ingested": self._bot.id}
            await self._app.redis.hset(self._app.keys.bot, mapping=values)
            host = self._app.mesh.settings.gateway.public_url
            log.info("webhook set", app=self._app.name, host=host, kinds=self._kinds)
        self._complain(info)

    def _digest(self) -> str:
        """Recognise what was set without keeping the secret: an HMAC under the token."""
        wanted = orjson.dumps([self._url, self._secret, self._kinds, MAX_CONNECTIONS])
        return hmac.new(self._bot.token.encode(), wanted, hashlib.sha256).hexdigest()[:16]

    def _complain(self, info: WebhookInfo) -> None:
        date = int(info.last_error_date.timestamp()) if info.last_error_date else 0
        if date > self._told:
            self._told = date
            waiting, text = info.pending_update_count, info.last_error_message
            self._app.log.warning("Telegram could not deliver to the webhook", reason=text, waiting=waiting)
