"""Telegram's updates by webhook: checked, put into the log of updates, and only then answered with 200.

Telegram repeats what was not answered with 200, so every refusal that time can mend is a 503 with Retry-After, and what
was taken before is simply 200 again. Source: https://core.telegram.org/bots/api#setwebhook
"""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from gateway import metrics
from gateway.answers import json_response, refusal
from shared import trace
from shared.addresses import Network, client_address, is_within, parse_networks
from shared.broker import BrokerUnavailable
from shared.settings import Settings, enabled
from shared.updates import BadUpdate, Overloaded, UpdateLog, parse_update

if TYPE_CHECKING:
    from prometheus_client import Counter

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name, not a secret
BODY_SECONDS = 20.0  # for the whole body; Telegram needs milliseconds
UNAVAILABLE_SECONDS, OVERLOADED_SECONDS = 2, 10  # when Telegram may come back
TELEGRAM_NETWORKS = ("149.154.160.0/20", "91.108.4.0/22")  # https://core.telegram.org/bots/webhooks
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
        trusted: networks whose forwarding headers are believed.

    Attributes:
        updates: where updates go; None until Redis is there.
    """

    def __init__(self, settings: Settings, trusted: Sequence[Network] = ()) -> None:
        self.updates: UpdateLog | None = None
        self._trusted = trusted
        self._senders = sender_networks(settings.gateway.webhook_from)
        self._limit = settings.gateway.max_update_bytes
        self._hooks = hooks(settings)
        self._counters: dict[tuple[str, str], Counter] = {}

    def serve(self, settings: Settings) -> None:
        """Take updates for the apps of these settings from now on."""
        self._hooks = hooks(settings)

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.post(metrics.WEBHOOK_ROUTE, self._take)]

    def hook(self, path: bytes) -> Hook | None:
        """Return the webhook behind a path, as it stands on the wire."""
        return self._hooks.get(path.decode("latin-1"))

    def fits(self, length: int) -> bool:
        """Tell whether a body may be so long."""
        return not self._limit or length <= self._limit

    def is_sender(self, peer: str | None, forwarded: Sequence[str]) -> bool:
        """Tell whether updates are taken from an address.

        Args:
            peer: the socket's other end.
            forwarded: the values of all `X-Forwarded-For` headers.
        """
        return not self._senders or is_within(client_address(peer, forwarded, self._trusted), self._senders)

    def note(self, app: str, *, taken: bool) -> str:
        """Count an update that was stored, or was before, and return the verdict."""
        verdict = "taken" if taken else "duplicate"
        counter = self._counters.get((app, verdict))
        if counter is None:
            counter = self._counters[app, verdict] = metrics.updates.labels(app, verdict)
        counter.inc()
        if self.updates is not None:
            self.updates.note(app, "webhook", taken=taken)
        return verdict

    async def _take(self, request: web.Request) -> web.Response:
        hook = self._hooks.get(request.match_info["path"])
        if hook is None:
            return json_response({"error": "there is no webhook here"}, 404)
        request[LOGGED_PATH] = f"/webhook/{hook.app}"
        verdict, response = await self._judge(request, hook)
        metrics.updates.labels(hook.app, verdict).inc()
        return response

    async def _judge(self, request: web.Request, hook: Hook) -> tuple[str, web.Response]:
        if not self.is_sender(request.remote, request.headers.getall("X-Forwarded-For", ())):
            return "wrong address", json_response({"error": "updates are not taken from this address"}, 403)
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
            log.warning("an update was refused", app=app, reason=str(error), trace=_trace(raw))
            return "overloaded", refusal(503, "too many updates wait; try again", OVERLOADED_SECONDS)
        except BrokerUnavailable as error:
            log.warning("an update was not taken", app=app, reason=str(error), trace=_trace(raw))
            return "unavailable", refusal(503, "the update could not be stored; try again", UNAVAILABLE_SECONDS)
        return "taken" if new else "duplicate", web.Response()


def sender_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of `gateway.webhook-from`, where `telegram` stands for Telegram's."""
    own = [network for text in texts if text == "telegram" for network in TELEGRAM_NETWORKS]
    return parse_networks([*own, *(text for text in texts if text != "telegram")])


def hooks(settings: Settings) -> dict[str, Hook]:
    """Give the webhook of each app that has one, by its path."""
    found = {}
    for name, app in enabled(settings).items():
        secret = app.effective_webhook_secret()
        if secret is not None:
            found[app.webhook_path()] = Hook(name, secret.encode())
    return found


def _trace(raw: bytes) -> str:
    return trace.of_update(parse_update(raw)["update_id"])


def _right_secret(request: web.Request, hook: Hook) -> bool:
    """Compare in constant time, as bytes: a header may hold anything, `compare_digest` takes only ASCII as text."""
    given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, hook.secret)
