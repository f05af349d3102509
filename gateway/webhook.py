"""Telegram's updates by webhook: checked, put into the log of updates, and only then answered with 200.

Telegram repeats what was not answered with 200, so every refusal that time can mend is a 503 with Retry-After, and what
was taken before is simply 200 again. Source: https://core.telegram.org/bots/api#setwebhook
"""

import asyncio
import hmac
from dataclasses import dataclass

import structlog
from aiohttp import web

from gateway import metrics
from gateway.answers import json_response, refusal
from shared.broker import BrokerUnavailable
from shared.settings import Settings
from shared.updates import BadUpdate, Overloaded, UpdateLog

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name, not a secret
BODY_SECONDS = 20.0  # for the whole body; Telegram needs milliseconds
UNAVAILABLE_SECONDS, OVERLOADED_SECONDS = 2, 10  # when Telegram may come back
LOGGED_PATH = web.RequestKey("logged_path", str)

log = structlog.get_logger("webhook")


@dataclass(frozen=True, slots=True)
class Hook:
    """One app's webhook."""

    app: str
    secret: bytes


class Webhook:
    """Takes updates in.

    Args:
        settings: the settings.

    Attributes:
        updates: where updates go; None until Redis is there.
    """

    def __init__(self, settings: Settings) -> None:
        self.updates: UpdateLog | None = None
        self._limit = settings.gateway.max_update_bytes
        self._hooks: dict[str, Hook] = {}
        for name, app in settings.apps.items():
            secret = app.effective_webhook_secret()
            if app.enabled and secret is not None:
                self._hooks[app.webhook_path()] = Hook(name, secret.encode())

    @property
    def apps(self) -> list[str]:
        """The apps that have a webhook."""
        return [hook.app for hook in self._hooks.values()]

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.post("/webhook/{path}", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        hook = self._hooks.get(request.match_info["path"])
        if hook is None:
            return json_response({"error": "there is no webhook here"}, 404)
        request[LOGGED_PATH] = f"/webhook/{hook.app}"
        verdict, response = await self._judge(request, hook)
        metrics.updates.labels(hook.app, verdict).inc()
        return response

    async def _judge(self, request: web.Request, hook: Hook) -> tuple[str, web.Response]:
        if not _right_secret(request, hook):
            return "wrong secret", json_response({"error": f"{SECRET_HEADER} is missing or wrong"}, 401)
        try:
            raw = await self._body(request)
        except web.HTTPRequestEntityTooLarge:
            return "too large", json_response({"error": f"an update has at most {self._limit} bytes"}, 413)
        except TimeoutError:
            return "too slow", json_response({"error": f"the body did not arrive in {BODY_SECONDS:g} s"}, 408)
        except web.RequestPayloadError:
            return "bad", json_response({"error": "the body cannot be read: its encoding is broken"}, 400)
        return await self._append(hook.app, raw)

    async def _body(self, request: web.Request) -> bytes:
        if self._limit and (request.content_length or 0) > self._limit:
            raise web.HTTPRequestEntityTooLarge(self._limit, request.content_length or 0)
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()

    async def _append(self, app: str, raw: bytes) -> tuple[str, web.Response]:
        if self.updates is None:
            return "unavailable", refusal(503, "Redis was not reached yet; try again", UNAVAILABLE_SECONDS)
        try:
            new = await self.updates.append(app, raw, "webhook")
        except BadUpdate as error:
            return "bad", json_response({"error": str(error)}, 400)
        except Overloaded as error:
            log.warning("an update was refused", app=app, reason=str(error))
            return "overloaded", refusal(503, "too many updates wait; try again", OVERLOADED_SECONDS)
        except BrokerUnavailable as error:
            log.warning("an update was not taken", app=app, reason=str(error))
            return "unavailable", refusal(503, "the update could not be stored; try again", UNAVAILABLE_SECONDS)
        return "taken" if new else "duplicate", web.Response()


def _right_secret(request: web.Request, hook: Hook) -> bool:
    """Compare in constant time, as bytes: a header may hold anything, `compare_digest` takes only ASCII as text."""
    given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, hook.secret)
