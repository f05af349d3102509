"""The Bot API over HTTP: `/bot<token>/METHOD`, parameters in, Telegram's envelope out.

Source: https://core.telegram.org/bots/api#making-requests
"""

import asyncio
import math
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from sandbox.errors import ActionError, ApiError, bad_request, too_many_requests
from sandbox.faults import Fault
from sandbox.fetching import addresses, fetch
from sandbox.files import Sent
from sandbox.methods import Call, execute
from sandbox.model import Json
from sandbox.params import Params
from sandbox.polling import Polling
from sandbox.runtime import Runtime
from sandbox.state import Bot
from sandbox.traffic import Entry, shortened
from shared.log import get_logger

_CODES = frozenset(HTTPStatus)
TRACE_HEADER = "X-Trace"  # a bot worker in development says with it what a call belongs to
LONGEST_TRACE = 100

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
        for path in (r"/file/bot{token:[^/]*}/test/{path:.+}", r"/file/bot{token:[^/]*}/{path:.+}"):
            router.add_get(path, self.download)

    async def download(self, request: web.Request) -> web.Response:
        """Give a file to a bot."""
        try:
            self._bot(request.match_info["token"])
        except ApiError as error:
            return _answer(error.body(), error.code)
        file = self._runtime.world.files.at(request.match_info["path"])
        if file is None:
            return _answer(ApiError(404, "Not Found").body(), 404)
        return web.Response(body=file.data, content_type="application/octet-stream")

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call, or let it suffer the fault that strikes it."""
        method, bot, fault = request.match_info["method"], None, None
        params, begun = Params({}), time.monotonic()
        answer: Json = {}
        code, retry_after = 200, None
        try:
            bot = self._bot(request.match_info["token"])
            params = await _parameters(request)
            fault = bot.faults.strike(method, params, self._runtime.world.rng)
            if fault is not None:
                _before(fault, request)
            result = await self._run(bot, method, params)
            bot.calls[method.lower()] += 1
            answer = {"ok": True, "result": result}
        except ApiError as error:
            log.debug("refused", method=method, code=error.code, reason=error.description)
            if bot is not None:
                bot.refusals[error.code] += 1
            answer, code, retry_after = error.body(), error.code, error.retry_after
        finally:
            self._runtime.settle()
        if bot is not None and (method.lower() != "getupdates" or code != 200):
            trace, seconds = request.headers.get(TRACE_HEADER, ""), time.monotonic() - begun
            self._note(bot, method, params, trace, answer, code, seconds)
        if fault is not None:
            await self._after(fault, request)
        return _answer(answer, code, retry_after)

    def _note(self, bot: Bot, method: str, params: Params, trace: str, answer: Json, code: int, seconds: float) -> None:
        """Keep a call for the traffic panel; polls that bring updates are no news beside the updates."""
        detail = {"parameters": shortened(params.shown()), "answer": shortened(answer)}
        now, took = self._runtime.clock(), round(seconds * 1000, 1)
        self._runtime.traffic.note(
            Entry(now, "call", bot.id, trace[:LONGEST_TRACE], method, "bot →", detail, code, took)
        )

    async def _after(self, fault: Fault, request: web.Request) -> None:
        """Hold the answer back."""
        if fault.kind == "cut":
            _break(request)
        elif fault.kind in ("silence", "slow"):
            with suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await self._runtime.ending.wait()
            if fault.kind == "silence":
                _break(request)

    async def _run(self, bot: Bot, method: str, params: Params) -> Any:
        if method.lower() == "getupdates":
            return await self._polling.get_updates(bot, params)
        params.files.update(await fetch(addresses(method.lower(), params)))
        try:
            return execute(Call(self._runtime.world, bot, params, self._runtime.clock(), method.lower()))
        except ActionError as error:  # an update that follows from the call found the queue full
            raise ApiError(500, f"Internal Server Error: {error}") from error

    def _bot(self, token: str) -> Bot:
        bot = self._runtime.world.bot_by_token(token)
        if bot is None:
            valid = ":" in token and not token.startswith("0") and len(token) <= 80
            raise ApiError(401, "Unauthorized" if valid else "Unauthorized: invalid token specified")
        return bot


def _before(fault: Fault, request: web.Request) -> None:
    """Do what a fault does before the call has an effect.

    Raises:
        ApiError: the answer in the call's place.
        ConnectionResetError: there is none.
    """
    if fault.kind == "error":
        raise ApiError(fault.code, HTTPStatus(fault.code).phrase if fault.code in _CODES else "Error")
    if fault.kind == "flood":
        raise too_many_requests(math.ceil(fault.seconds))
    if fault.kind == "reset":
        _break(request)
        raise ConnectionResetError


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _parameters(request: web.Request) -> Params:
    """Merge the query string with the body, the body going first."""
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body = await request.read()
        return Params(values | (_json_object(body) if body.strip() else {}))
    if request.content_type not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        return Params(values)
    try:
        form = await request.post()
    except ValueError as error:
        raise bad_request("can't parse the form of the request") from error
    values |= {name: value for name, value in form.items() if isinstance(value, str)}
    files = {
        name: Sent(value.filename, await asyncio.to_thread(value.file.read))
        for name, value in form.items()
        if isinstance(value, web.FileField)
    }
    return Params(values, files)


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
