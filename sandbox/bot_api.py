"""The Bot API over HTTP: `/bot<token>/METHOD`, parameters in, Telegram's envelope out.

Source: https://core.telegram.org/bots/api#making-requests
"""

from typing import Any

import orjson
from aiohttp import web

from sandbox.errors import ActionError, ApiError, bad_request
from sandbox.methods import Call, execute
from sandbox.params import Params
from sandbox.polling import Polling
from sandbox.runtime import Runtime
from sandbox.state import Bot
from shared.log import get_logger

log = get_logger("bot_api")


class BotApi:
    """Handlers of the Bot API."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._polling = Polling(runtime)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve production and test environment alike, as one server."""
        for path in (r"/bot{token:[^/]*}/{method:\w+}", r"/bot{token:[^/]*}/test/{method:\w+}"):
            router.add_route("GET", path, self.handle)
            router.add_route("POST", path, self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        try:
            bot = self._bot(request.match_info["token"])
            result = await self._run(bot, request.match_info["method"], Params(await _parameters(request)))
        except ApiError as error:
            log.debug("refused", method=request.match_info["method"], code=error.code, reason=error.description)
            return _answer(error.body(), error.code, error.retry_after)
        finally:
            self._runtime.settle()
        return _answer({"ok": True, "result": result})

    async def _run(self, bot: Bot, method: str, params: Params) -> Any:
        if method.lower() == "getupdates":
            return await self._polling.get_updates(bot, params)
        try:
            return execute(Call(self._runtime.world, bot, params, self._runtime.clock()), method)
        except ActionError as error:  # an update that follows from the call found the queue full
            raise ApiError(500, f"Internal Server Error: {error}") from error

    def _bot(self, token: str) -> Bot:
        bot = self._runtime.world.bot_by_token(token)
        if bot is None:
            valid = ":" in token and not token.startswith("0") and len(token) <= 80
            raise ApiError(401, "Unauthorized" if valid else "Unauthorized: invalid token specified")
        return bot


async def _parameters(request: web.Request) -> dict[str, Any]:
    """Merge the query string with the body, the body going first."""
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body = await request.read()
        return values | (_json_object(body) if body.strip() else {})
    if request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        try:
            form = await request.post()
        except ValueError as error:
            raise bad_request("can't parse the form of the request") from error
        values |= {name: value for name, value in form.items() if isinstance(value, str)}
    return values


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise bad_request("can't parse JSON object") from error
    if not isinstance(value, dict):
        raise bad_request("object expected as request body")
    return value


def _answer(body: dict[str, Any], status: int = 200, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)
