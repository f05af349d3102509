"""The way of an update through an app: aiogram's dispatcher, a real Bot API server, real Redis."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, F, Router
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.dispatcher.event.bases import CancelHandler
from aiogram.filters import CommandStart
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, InlineQuery, Message
from aiohttp import web

from app_mesh import bound, make_settings, open_mesh
from mini_apps import App, UserFilter
from mini_apps.bot_status import TelegramMe
from mini_apps.embedded import EmbeddedValkey
from mini_apps.mesh import Mesh
from mini_apps.telegram_hooks import Handling, admits, feed, guarded
from support import TOKEN

ME = TelegramMe(42, "CounterBot", "Counter")
numbers = itertools.count(1)


class BotApi:
    """Notes the calls it gets and answers each with a message."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fail = False

    async def answer(self, request: web.Request) -> web.Response:
        method = request.path.rpartition("/")[2]
        self.calls.append((method, dict(await request.post())))
        if self.fail:
            return web.json_response({"ok": False, "error_code": 400, "description": "Bad Request: no"}, status=400)
        message = {"message_id": next(numbers), "date": 1, "chat": {"id": 1, "type": "private"}, "text": "sent"}
        me = {"id": 42, "is_bot": True, "first_name": "Counter", "username": "CounterBot"}
        return web.json_response({"ok": True, "result": {"sendMessage": message, "getMe": me}.get(method, True)})

    def texts(self) -> list[str]:
        return [str(fields["text"]) for method, fields in self.calls if method == "sendMessage"]


@pytest.fixture
async def api() -> AsyncIterator[tuple[BotApi, Bot]]:
    server, application = BotApi(), web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    bot = Bot(TOKEN, session=AiohttpSession(api=TelegramAPIServer.from_base(base)))
    yield server, bot
    await bot.session.close()
    await runner.cleanup()


@pytest.fixture
async def mesh(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Mesh]:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"admins": [7], "banned": [13]})
    async with open_mesh(settings, "bot-1", "bot") as opened:
        yield opened


async def stop_at_once() -> None:
    """Serve a bot that has nothing to do."""


async def attached(app_class: type[App], mesh: Mesh, bot: Bot) -> tuple[App, Dispatcher]:
    """Connect an app the way a bot worker does."""
    app = await bound(app_class, mesh, "counter")
    link = await app.attach_telegram(bot, stop_at_once, ME)
    dispatcher = Dispatcher(app=app)

    @dispatcher.message()
    async def message(event: Message, **data: Any) -> Any:
        with Handling(data):
            return await feed(app, "message", event)

    @dispatcher.callback_query()
    async def callback(event: CallbackQuery, **data: Any) -> Any:
        with Handling(data):
            return await feed(app, "callback_query", event)

    @dispatcher.inline_query()
    async def inline(event: InlineQuery, **data: Any) -> Any:
        with Handling(data):
            return await feed(app, "inline_query", event)

    dispatcher.include_router(link.router)
    return app, dispatcher


def user(id_: int = 1001) -> dict[str, Any]:
    return {"id": id_, "is_bot": False, "first_name": "Ada"}


def message(text: str = "hi", id_: int = 1001, **more: Any) -> dict[str, Any]:
    content = {
        "message_id": next(numbers),
        "date": 1,
        "chat": {"id": id_, "type": "private"},
        "from": user(id_),
        **more,
    }
    return {"update_id": next(numbers), "message": {"text": text, **content} if "caption" not in more else content}


def press(data: str) -> dict[str, Any]:
    return {
        "update_id": next(numbers),
        "callback_query": {"id": "1", "from": user(), "chat_instance": "5", "data": data},
    }


def query(text: str) -> dict[str, Any]:
    return {"update_id": next(numbers), "inline_query": {"id": "1", "from": user(), "query": text, "offset": ""}}


class Echo(App):
    def __init__(self, settings: Any, name: str | None = None) -> None:
        super().__init__(settings, name)
        self.seen: list[Any] = []
        self.acknowledge = False
        self.routers = 0

    @App.bot_command("start", "Start it")
    async def start(self, args: str, event: Message) -> Any:
        return event.answer(f"welcome {args}".strip())

    @App.bot_command(admin_only=True)
    async def reset(self, args: str, event: Message) -> Any:
        return event.answer("reset")

    @App.bot_command(hidden=True)
    def fail(self, args: str, event: Message) -> Any:
        raise LookupError("as asked")

    def setup_router(self, router: Router) -> None:
        self.routers += 1

        @router.message(F.text == "routed")
        async def routed(event: Message, app: App, state: FSMContext) -> Any:
            await state.set_state("asked")
            self.seen.append(("routed", app is self))
            return event.answer("by the router")

        @router.message(CommandStart())
        async def never(event: Message) -> Any:
            self.seen.append("never")

        @router.message(F.text == "enough")
        async def enough(event: Message) -> Any:
            raise CancelHandler

        @router.edited_message()
        async def edited(event: Message) -> Any:
            self.seen.append("edited")

    async def on_telegram_message(self, event: Message) -> Any:
        self.seen.append(("message", event.text, await self.fsm(event).get_state()))
        return event.answer("echo") if event.text == "echo" else None

    async def on_telegram_callback(self, event: CallbackQuery) -> Any:
        self.seen.append(("callback", event.data))
        return event.answer("pressed")

    def on_telegram_inline(self, event: InlineQuery) -> Any:
        self.seen.append(("inline", event.query))
        return event.answer([])

    def on_telegram_exception(self, exception: Exception) -> Any:
        self.seen.append(repr(exception))
        return self.acknowledge


async def test_the_first_that_handles_wins_and_its_call_is_made(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api
    app, dispatcher = await attached(Echo, mesh, bot)
    assert isinstance(app, Echo)
    sent = await dispatcher.feed_raw_update(bot, message("/start now"))
    assert isinstance(sent, Message), "the call's result is what the worker gets"
    await dispatcher.feed_raw_update(bot, message("routed"))
    await dispatcher.feed_raw_update(bot, message("echo"))
    await dispatcher.feed_raw_update(bot, message("plain"))
    await dispatcher.feed_raw_update(bot, message("enough"))
    await dispatcher.feed_raw_update(bot, press("b1"))
    await dispatcher.feed_raw_update(bot, query("q1"))
    assert server.texts() == ["welcome now", "by the router", "echo"]
    assert [method for method, _ in server.calls[3:]] == ["answerCallbackQuery", "answerInlineQuery"]
    assert app.seen == [
        ("routed", True),
        ("message", "echo", "asked"),
        ("message", "plain", "asked"),
        ("callback", "b1"),
        ("inline", "q1"),
    ]
    assert app.routers == 1
    assert app.router.name == "counter"


async def test_captions_count_and_another_bots_commands_do_not(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api
    _, dispatcher = await attached(Echo, mesh, bot)
    await dispatcher.feed_raw_update(bot, message(caption="/start@counterbot in a caption"))
    await dispatcher.feed_raw_update(bot, message("/start@OtherBot"))
    assert server.texts() == ["welcome in a caption"]


async def test_admin_commands_do_not_exist_for_others(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api
    app, dispatcher = await attached(Echo, mesh, bot)
    assert isinstance(app, Echo)
    await dispatcher.feed_raw_update(bot, message("/reset"))
    assert (server.texts(), app.seen) == ([], [("message", "/reset", None)])
    await dispatcher.feed_raw_update(bot, message("/reset", 7))
    await app.set_admin(1001)
    await dispatcher.feed_raw_update(bot, message("/reset"))
    await app.set_admin(1001, is_admin=False)
    await dispatcher.feed_raw_update(bot, message("/reset"))
    assert server.texts() == ["reset", "reset"]
    row = await mesh.users.get(1001, "Ada")
    async with app.db() as session:
        session.add(row)
        row.is_admin = True
        await session.commit()
    mesh.users._rows.clear()
    await dispatcher.feed_raw_update(bot, message("/reset"))
    assert server.texts() == ["reset"] * 3


async def test_a_failure_is_told_once_a_try_and_goes_on_unless_acknowledged(
    mesh: Mesh, api: tuple[BotApi, Bot]
) -> None:
    server, bot = api
    app, dispatcher = await attached(Echo, mesh, bot)
    assert isinstance(app, Echo)
    for _ in range(2):
        with pytest.raises(LookupError):
            await dispatcher.feed_raw_update(bot, message("/fail"))
    assert app.seen == ["LookupError('as asked')"] * 2
    app.acknowledge = True
    assert await dispatcher.feed_raw_update(bot, message("/fail")) is True
    server.fail = True
    assert await dispatcher.feed_raw_update(bot, message("/start")) is True
    assert "Bad Request" in app.seen[-1]
    app.acknowledge = False
    with pytest.raises(LookupError):
        await app.on_telegram_message_raw(_as_message(message("/fail"), bot))


async def test_an_overridden_raw_hook_is_watched_too(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api

    class Raw(Echo):
        async def on_telegram_message_raw(self, event: Message) -> Any:
            if event.text == "stop":
                return event.answer("stopped")
            if event.text == "break":
                raise ValueError("broken")
            return await super().on_telegram_message_raw(event)

    app, dispatcher = await attached(Raw, mesh, bot)
    assert isinstance(app, Raw)
    await dispatcher.feed_raw_update(bot, message("stop"))
    await dispatcher.feed_raw_update(bot, message("/start"))
    assert server.texts() == ["stopped", "welcome"]
    with pytest.raises(ValueError, match="broken"):
        await dispatcher.feed_raw_update(bot, message("break"))
    with pytest.raises(LookupError):
        await dispatcher.feed_raw_update(bot, message("/fail"))
    assert app.seen == ["ValueError('broken')", "LookupError('as asked')"]


async def test_other_kinds_reach_the_router_and_can_be_guarded(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    _, bot = api
    app, dispatcher = await attached(Echo, mesh, bot)
    assert isinstance(app, Echo)
    update = message("new text")
    await dispatcher.feed_raw_update(bot, {"update_id": 1, "edited_message": update["message"]})
    assert app.seen == ["edited"]
    app.acknowledge = True

    async def broken() -> None:
        raise OSError("down")

    assert await guarded(app, broken) is True
    assert app.seen[-1] == "OSError('down')"


async def test_the_banned_are_not_admitted(mesh: Mesh) -> None:
    app = await bound(App, mesh, "counter")
    assert await admits(app, 1001)
    assert await admits(app, None)
    assert not await admits(app, 13)
    app.user_filter = UserFilter()
    assert await admits(app, 13)
    await app.ban(13)
    assert not await admits(app, 13)


async def test_the_menu_is_sent_once_per_change_and_deployment(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api
    app, _ = await attached(Echo, mesh, bot)
    async with open_mesh(mesh.settings, "bot-2", "bot") as other_mesh:
        other, _ = await attached(Echo, other_mesh, bot)
        server.fail = True
        with pytest.raises(Exception, match="Bad Request"):
            await app.send_telegram_commands()
        server.fail = False
        server.calls.clear()
        await asyncio.gather(app.send_telegram_commands(), other.send_telegram_commands())
        await other.send_telegram_commands()
    assert [method for method, _ in server.calls] == ["setMyCommands"]
    assert server.calls[0][1]["commands"] == '[{"command": "start", "description": "Start it"}]'

    class More(Echo):
        @App.bot_command
        async def help(self, args: str, event: Message) -> Any:
            """Tell more."""

    changed, _ = await attached(More, mesh, bot)
    await changed.send_telegram_commands()
    assert len(server.calls) == 2


async def test_an_app_without_commands_leaves_the_menu_alone(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    server, bot = api
    app, _ = await attached(App, mesh, bot)
    await app.send_telegram_commands()
    assert server.calls == []


async def test_run_bot_wraps_what_the_worker_does(mesh: Mesh, api: tuple[BotApi, Bot]) -> None:
    order: list[str] = []

    class Wrapping(App):
        async def run_bot(self) -> None:
            order.append("before")
            await super().run_bot()
            order.append("after")

    async def serve() -> None:
        order.append("serving")

    app = await bound(Wrapping, mesh, "counter")
    await app.attach_telegram(api[1], serve, ME)
    await app.run_bot()
    assert order == ["before", "serving", "after"]
    assert app.telegram is api[1]


async def test_outside_a_bot_worker_each_member_says_so(mesh: Mesh) -> None:
    app = await bound(App, mesh, "counter")
    with pytest.raises(RuntimeError, match="in a bot worker only"):
        _ = app.router
    for attempt in (app.run_bot(), app.send_telegram_commands()):
        with pytest.raises(RuntimeError, match="in a bot worker only"):
            await attempt


def _as_message(update: dict[str, Any], bot: Bot) -> Message:
    return Message.model_validate(update["message"], context={"bot": bot})
