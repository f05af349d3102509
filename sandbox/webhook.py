"""Delivers updates to webhooks: one task per bot, which owns its deliveries.

Source: https://core.telegram.org/bots/api#setwebhook, https://core.telegram.org/bots/webhooks
"""

import asyncio
import errno
import socket
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from sandbox.errors import ActionError, ApiError
from sandbox.methods import Call, execute
from sandbox.params import Params
from sandbox.runtime import Runtime
from sandbox.state import Bot, Webhook
from sandbox.updates import Update
from sandbox.webhook_answer import parse_answer
from sandbox.webhook_plan import DeliveryPlan
from shared.log import get_logger

TIMEOUT_SECONDS = 60.0  # for the whole of a delivery
PEER_SECONDS = 5.0  # of these until a host that acknowledges nothing counts as gone, be the connection new or old
MAX_ANSWER_BYTES = 1 << 20
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the name of a header, not a secret

log = get_logger("webhook")


class Webhooks:
    """Owns the delivery tasks; `start` and `close` belong to the server's life."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Begin to deliver."""
        limits = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=PEER_SECONDS)
        connector = aiohttp.TCPConnector(socket_factory=_impatient_socket)
        self._http = aiohttp.ClientSession(connector=connector, timeout=limits)
        for bot in self._runtime.world.bots.values():
            self._tasks.append(asyncio.create_task(self._serve(bot, self._http), name=f"webhook {bot.config.name}"))

    async def close(self) -> None:
        """Stop; what is on the way is cut off and would be delivered again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _serve(self, bot: Bot, http: aiohttp.ClientSession) -> None:
        current: Webhook | None = None
        plan = DeliveryPlan(self._runtime.config.retry, 0)
        with self._runtime.waker(bot.id) as changed:
            async with asyncio.TaskGroup() as deliveries:
                while True:
                    changed.clear()
                    webhook = bot.webhook
                    if webhook is not current:
                        plan = DeliveryPlan(self._runtime.config.retry, webhook.max_connections if webhook else 0)
                        current = webhook
                    if webhook is not None:
                        for update in plan.due(bot.queue, self._runtime.clock()):
                            delivery = _Delivery(self._runtime, bot, webhook, plan, update)
                            deliveries.create_task(delivery.run(http, changed))
                    await self._pause(changed, plan)

    async def _pause(self, changed: asyncio.Event, plan: DeliveryPlan) -> None:
        retry_at = plan.next_retry()
        seconds = None if retry_at is None else max(0.0, retry_at - self._runtime.clock())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()


class _Delivery:
    """One update on its way."""

    def __init__(self, runtime: Runtime, bot: Bot, webhook: Webhook, plan: DeliveryPlan, update: Update) -> None:
        self._runtime = runtime
        self._bot = bot
        self._webhook = webhook
        self._plan = plan
        self._update = update

    async def run(self, http: aiohttp.ClientSession, changed: asyncio.Event) -> None:
        """Post the update; done or not, the bot's task looks at the queue again."""
        try:
            await self._post(http)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._failed(_reason(error), None)
        changed.set()

    async def _post(self, http: aiohttp.ClientSession) -> None:
        headers = {SECRET_HEADER: self._webhook.secret} if self._webhook.secret else {}
        async with http.post(
            self._webhook.url,
            data=orjson.dumps(self._update.to_api()),
            headers={"Content-Type": "application/json", **headers},
            allow_redirects=False,
        ) as response:
            body = await response.content.read(MAX_ANSWER_BYTES)
        if not 200 <= response.status < 300:
            asked = response.headers.get("Retry-After", "")
            text = f"Wrong response from the webhook: {response.status} {response.reason}"
            self._failed(text, float(asked) if asked.isdecimal() else None)
            return
        self._plan.delivered(self._update)
        self._bot.queue.discard([self._update])
        self._call(parse_answer(body, response.headers.get("Content-Type", "")))

    def _failed(self, reason: str, retry_after: float | None) -> None:
        now = self._runtime.clock()
        self._plan.failed(self._update, now, retry_after)
        self._webhook.last_error_date, self._webhook.last_error = int(now), reason
        log.warning("delivery failed", bot=self._bot.config.name, update_id=self._update.id, reason=reason)

    def _call(self, values: dict[str, Any]) -> None:
        """Make the one call the answer may hold; its result goes nowhere, as at Telegram."""
        name = str(values.pop("method", ""))
        if not name:
            return
        call = Call(self._runtime.world, self._bot, Params(values), self._runtime.clock(), name.lower())
        try:
            execute(call)
        except (ApiError, ActionError) as error:
            log.warning("call in a webhook answer failed", bot=self._bot.config.name, method=name, reason=str(error))
        self._runtime.settle()


def _impatient_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that ends when nobody acknowledges what it sent: a kept one may lead to a host that is gone."""
    made = socket.socket(*address[:3])
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(PEER_SECONDS * 1000))
    return made


def _reason(error: BaseException) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError() | OSError(errno=errno.ETIMEDOUT):
            return "Connection timed out"
        case TimeoutError():
            return "Read timeout expired"
        case aiohttp.ClientConnectorError():
            return "Connection refused"
        case _:
            return f"Connection closed ({type(error).__name__})"
