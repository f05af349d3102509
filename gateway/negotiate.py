"""Where clients find their WebSocket: `negotiate` picks a node for each, `settings.json` tells pages the rest."""

import math
import time
from collections.abc import Sequence

from aiohttp import web

from gateway import metrics
from gateway.answers import json_response, refusal
from gateway.node_list import NodeList, pick
from shared.addresses import Network, client_address, limit_key
from shared.messages import PROTOCOL
from shared.rate_limit import RateLimit
from shared.settings import Settings, enabled

RETRY_SECONDS = 2


class Negotiate:
    """Tells clients where to connect.

    Args:
        settings: the settings.
        nodes: the live nodes.
        trusted: networks whose forwarding headers are believed.
    """

    def __init__(self, settings: Settings, nodes: NodeList, trusted: Sequence[Network]) -> None:
        self._apps = sorted(enabled(settings))
        self._public_url = settings.ws.public_url
        self._nodes = nodes
        self._trusted = trusted
        self._limit = RateLimit(settings.gateway.negotiate_per_minute)

    def serve(self, settings: Settings) -> None:
        """Send the clients of the apps of these settings to nodes from now on."""
        self._apps = sorted(enabled(settings))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; they come before those of files, which would take an app's `settings.json`."""
        return [
            web.get("/negotiate", self._negotiate),
            web.get("/settings.json", self._settings),
            web.get("/apps/{name}/settings.json", self._app_settings),
        ]

    async def _negotiate(self, request: web.Request) -> web.Response:
        if wait := self._wait(request):
            metrics.negotiations.labels("limited").inc()
            return refusal(429, "too many requests from this address", math.ceil(wait))
        app = request.query.get("app")
        if app is not None and app not in self._apps:
            metrics.negotiations.labels("unknown app").inc()
            return json_response({"error": "there is no app of this name here"}, 404)
        if not self._nodes.fresh:
            metrics.negotiations.labels("stale").inc()
            return refusal(503, "the list of WebSocket nodes could not be read; try again", RETRY_SECONDS)
        node = self._nodes.choose()
        if node is None:
            metrics.negotiations.labels("none").inc()
            return refusal(503, "no WebSocket node takes clients now; try again", RETRY_SECONDS)
        metrics.negotiations.labels("ok").inc()
        return json_response({"url": node.address, "node": node.id})

    def _wait(self, request: web.Request) -> float:
        forwarded = request.headers.getall("X-Forwarded-For", ())
        caller = limit_key(client_address(request.remote, forwarded, self._trusted))
        before = self._limit.forgotten
        wait = self._limit.take(caller, time.monotonic())
        metrics.forgotten.inc(self._limit.forgotten - before)
        metrics.addresses.set(len(self._limit))
        return wait

    async def _settings(self, _request: web.Request) -> web.Response:
        return json_response(self._common())

    async def _app_settings(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._apps:
            return json_response({"error": "there is no app of this name here"}, 404)
        return json_response({**self._common(), "app": name})

    def _common(self) -> dict[str, object]:
        node = pick(self._nodes.nodes) if self._nodes.fresh else None
        socket = self._public_url or (node.address if node else None)
        return {"protocol": PROTOCOL, "socket": socket, "negotiate": "/negotiate", "apps": self._apps}
