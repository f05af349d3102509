"""What the parts of the page API share: JSON in and out, whose bot and which user a request is about."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox.errors import ActionError
from sandbox.model import Json, User
from sandbox.runtime import Runtime
from sandbox.state import Bot

PREFIX = "/sandbox/api"
BOT = f"{PREFIX}/bots/{{bot}}"
USER = f"{BOT}/users/{{user}}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a user on one bot, with the fields of its JSON body."""

    bot: Bot
    user: User
    fields: Mapping[str, Any]
    now: float

    def text(self, name: str, default: str = "") -> str:
        """Return a field that must be a string.

        Raises:
            ActionError: it is none.
        """
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise ActionError(f"{name} must be a string")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a field that must be a whole number; without a default it must be there.

        Raises:
            ActionError: it is none.
        """
        value = self.fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ActionError(f"{name} must be an integer")
        return value

    @property
    def chat(self) -> int:
        """The chat it happens in: a group, or 0 for the private one.

        Raises:
            ActionError: it is no number.
        """
        return self.integer("chat_id", 0)


class Desk:
    """Turns requests into steps and results into answers.

    Args:
        runtime: the running sandbox.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.world = runtime.world

    def answering(self, handler: Answer) -> Handler:
        """Return a handler that answers JSON, `{"error": …}` for a refusal."""

        async def answer(request: web.Request) -> web.Response:
            try:
                body, status = await handler(request), 200
            except ActionError as error:
                body, status = {"error": str(error)}, error.status
            finally:
                self.runtime.settle()
            return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")

        return answer

    def step(self, action: Callable[[Step], Json]) -> Handler:
        """Return a handler for an action of a user."""

        async def run(request: web.Request) -> Json:
            return action(await self.read_step(request))

        return self.answering(run)

    async def read_step(self, request: web.Request) -> Step:
        """Return what a user asks for.

        Raises:
            ActionError: the body is no JSON object, or there is no such bot or user.
        """
        fields = await read_body(request)
        return Step(self.bot(request), self.user(request), fields, self.runtime.clock())

    def bot(self, request: web.Request) -> Bot:
        """Return the bot a request names.

        Raises:
            ActionError: there is none.
        """
        wanted = request.match_info["bot"]
        for bot in self.world.bots.values():
            if wanted in {bot.config.name, str(bot.id)}:
                return bot
        raise ActionError(f"there is no bot {wanted!r} here", status=404)

    def user(self, request: web.Request) -> User:
        """Return the user a request names.

        Raises:
            ActionError: there is none.
        """
        return self.person(request.match_info["user"])

    def person(self, wanted: str) -> User:
        """Return a user by id.

        Raises:
            ActionError: there is none.
        """
        user = self.world.users.get(int(wanted)) if wanted.isascii() and wanted.isdigit() else None
        if user is None:
            raise ActionError(f"there is no user {wanted!r} here", status=404)
        return user


async def read_body(request: web.Request) -> Json:
    """Return the JSON object of a request.

    Raises:
        ActionError: it is none, or does not say that it is JSON.
    """
    # The content type forces a CORS preflight, which is never granted: no other site can post here.
    if request.content_type != "application/json":
        raise ActionError("send JSON with Content-Type: application/json", status=415)
    try:
        value = orjson.loads(await request.read() or b"{}")
    except ValueError as error:
        raise ActionError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise ActionError("the body must be a JSON object")
    return value
