"""What the web page and the tests use: act as a user, read chats, follow live events. JSON over HTTP."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import orjson
from aiohttp import web

from sandbox import actions
from sandbox.errors import ActionError
from sandbox.launch import PUBLIC_KEY, VERSION, Source, launch_url
from sandbox.methods_bot import commands_for, menu_button_for
from sandbox.model import Json, User
from sandbox.runtime import Feed, Runtime
from sandbox.state import Bot
from sandbox.themes import THEMES

PREFIX = "/sandbox/api"
KEEP_ALIVE_SECONDS = 15.0
MAX_USERS = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a user on one bot, with the fields of its JSON body."""

    bot: Bot
    user: User
    fields: Mapping[str, Any]
    now: float

    def text(self, name: str, default: str = "") -> str:
        """Return a field that must be a string."""
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise ActionError(f"{name} must be a string")
        return value


class PageApi:
    """Handlers of the page API."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._world = runtime.world

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve everything below `/sandbox/api`."""
        router.add_get(f"{PREFIX}/state", self._answering(self.state))
        router.add_post(f"{PREFIX}/users", self._answering(self.add_user))
        router.add_post(f"{PREFIX}/bots/{{bot}}/limits", self._answering(self.set_limits))
        router.add_get(f"{PREFIX}/events", self.events)
        chat = f"{PREFIX}/bots/{{bot}}/users/{{user}}"
        router.add_get(f"{chat}/chat", self._answering(self.chat))
        for name, action in (
            ("messages", self._send),
            ("callback", self._press),
            ("inline", self._inline),
            ("choose", self._choose),
            ("block", self._block),
            ("launch", self._launch),
            ("web_app_data", self._web_app_data),
        ):
            router.add_post(f"{chat}/{name}", self._answering(self._step(action)))

    async def state(self, _request: web.Request) -> Json:
        """Return bots, users and what the page must know of the sandbox."""
        return {
            "bots": [_bot_json(bot) for bot in self._world.bots.values()],
            "users": [user.to_api() for user in self._world.users.values()],
            "themes": THEMES,
            "version": VERSION,
            "public_key": PUBLIC_KEY.hex(),
        }

    async def add_user(self, request: web.Request) -> Json:
        """Add a person; the body may give `first_name` and other fields of a user."""
        if len(self._world.users) >= MAX_USERS:
            raise ActionError(f"there are {MAX_USERS} users already")
        fields = await _body(request)
        known = {"first_name": "", "last_name": "", "username": "", "language_code": "en"}
        values = {name: str(fields.get(name) or default)[:64] for name, default in known.items()}
        first_name = values.pop("first_name") or f"User {len(self._world.users) + 1}"
        return self._world.add_user(first_name, **values).to_api()

    async def set_limits(self, request: web.Request) -> Json:
        """Switch Telegram's sending limits of a bot on or off."""
        bot = self._bot(request)
        bot.limits.enabled = bool((await _body(request)).get("enabled"))
        return _bot_json(bot)

    async def chat(self, request: web.Request) -> Json:
        """Return a private chat as its user sees it."""
        bot, user = self._bot(request), self._user(request)
        # A look at a chat does not make the bot know the user.
        dialog = bot.dialogs.get(user.id)
        shown = dialog or self._world.preview(user)
        return {
            "messages": [message.to_api() for message in shown.messages],
            "keyboard": shown.keyboard,
            "started": shown.started,
            "blocked": shown.blocked,
            "commands": commands_for(bot, shown),
            "menu_button": menu_button_for(bot, shown),
        }

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream everything that happens as Server-Sent Events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        gone = contextlib.suppress(ConnectionError)  # the page was closed, which is how a stream ends
        with gone, self._runtime.feed() as feed:
            await response.prepare(request)
            await response.write(b"retry: 1000\nevent: hello\ndata: {}\n\n")
            if not self._runtime.closing:
                await _stream(feed, response)
        return response

    def _send(self, step: Step) -> Json:
        return actions.send_text(self._world, step.bot, step.user, step.text("text"), step.now).to_api()

    def _press(self, step: Step) -> Json:
        message_id = step.fields.get("message_id")
        if not isinstance(message_id, int):
            raise ActionError("message_id must be an integer")
        query_id = actions.press_button(self._world, step.bot, step.user, message_id, step.text("data"), step.now)
        return {"query_id": query_id}

    def _inline(self, step: Step) -> Json:
        query, offset = step.text("query"), step.text("offset")
        return {"query_id": actions.send_inline_query(self._world, step.bot, step.user, query, offset, step.now)}

    def _choose(self, step: Step) -> Json:
        query_id, result_id = step.text("query_id"), step.text("result_id")
        return actions.choose_result(self._world, step.bot, step.user, query_id, result_id, step.now).to_api()

    def _block(self, step: Step) -> Json:
        blocked = step.fields.get("blocked", True)
        if not isinstance(blocked, bool):
            raise ActionError("blocked must be true or false")
        actions.set_blocked(self._world, step.bot, step.user, blocked=blocked, now=step.now)
        return {"blocked": blocked}

    def _launch(self, step: Step) -> Json:
        start_param = step.text("start_param")
        source = step.text("source") or ("direct" if start_param else "menu")
        if source not in get_args(Source):
            raise ActionError(f"source must be one of {', '.join(get_args(Source))}")
        url = launch_url(
            self._world,
            step.bot,
            step.user,
            now=step.now,
            source=source,  # type: ignore[arg-type]  # checked against the Literal just above
            start_param=start_param,
            url=step.text("url"),
            theme=step.text("theme", "light"),
            chat_instance_=step.text("chat_instance"),
        )
        return {"url": url}

    def _web_app_data(self, step: Step) -> Json:
        button, data = step.text("button_text"), step.text("data")
        return actions.send_web_app_data(self._world, step.bot, step.user, button, data, step.now).to_api()

    def _step(self, action: Callable[[Step], Json]) -> Callable[[web.Request], Awaitable[Json]]:
        async def run(request: web.Request) -> Json:
            fields = await _body(request)
            return action(Step(self._bot(request), self._user(request), fields, self._runtime.clock()))

        return run

    def _answering(self, handler: Callable[[web.Request], Awaitable[Json]]) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            try:
                body, status = await handler(request), 200
            except ActionError as error:
                body, status = {"error": str(error)}, error.status
            finally:
                self._runtime.settle()
            return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")

        return answer

    def _bot(self, request: web.Request) -> Bot:
        wanted = request.match_info["bot"]
        for bot in self._world.bots.values():
            if wanted in {bot.config.name, str(bot.id)}:
                return bot
        raise ActionError(f"there is no bot {wanted!r} here", status=404)

    def _user(self, request: web.Request) -> User:
        wanted = request.match_info["user"]
        user = self._world.users.get(int(wanted)) if wanted.isascii() and wanted.isdigit() else None
        if user is None:
            raise ActionError(f"there is no user {wanted!r} here", status=404)
        return user


async def _stream(feed: Feed, response: web.StreamResponse) -> None:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                event = await feed.queue.get()
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        if event is None:
            return
        await response.write(b"event: %b\ndata: %b\n\n" % (event.kind.encode(), orjson.dumps(event.data)))


async def _body(request: web.Request) -> Json:
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


def _bot_json(bot: Bot) -> Json:
    return {
        "id": bot.id,
        "name": bot.config.name,
        "title": bot.user.first_name,
        "username": bot.user.username,
        "url": bot.config.url,
        "short_name": bot.config.short_name,
        "pending_updates": len(bot.queue),
        "refused_updates": bot.queue.refused,
        "webhook": bot.webhook is not None,
        "limits": bot.limits.enabled,
    }
