"""What aiogram offers works in the apps' routers: scenes, middlewares, filters, errors, several apps in one worker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiogram import BaseMiddleware, F, Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.filters import Command, CommandObject, ExceptionTypeFilter, Filter
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.scene import Scene, SceneRegistry, on
from aiogram.fsm.state import State, StatesGroup
from aiogram.methods import SendMessage
from aiogram.types import ErrorEvent, InlineKeyboardButton, InlineKeyboardMarkup

from bot_rig import TOKEN, Rig, message, rig
from mini_apps import App
from support import eventually

ADA = 1001
TTL = 500


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


def serving(deployment: Rig, app_class: type[App]) -> Any:
    """Run a worker for one app of a class."""
    deployment.apps = {"bot": {"class": f"{__name__}:{app_class.__name__}", "bot-token": TOKEN}}
    return deployment.worker()


async def said(deployment: Rig, text: str, answers: int = 1, **whom: Any) -> list[str]:
    """Say something to the bot and return the answers that this brought, once there are so many."""
    before = len(await deployment.answers(**whom))
    await deployment.say(text, **whom)

    async def new() -> list[str] | None:
        found = (await deployment.answers(**whom))[before:]
        return found if len(found) >= answers else None

    found: list[str] = await eventually(new, what=f"the answer to {text}")
    return found


async def listed(deployment: Rig, name: str, number: int) -> list[str]:
    """Return a list the app keeps, once it is so long."""

    async def long_enough() -> list[str] | None:
        found = await deployment.listed(name)
        return found if len(found) >= number else None

    found: list[str] = await eventually(long_enough, what=f"{number} in {name}")
    return found


async def press(deployment: Rig, data: str) -> None:
    """Press the button with this data below the bot's newest message."""
    chat = f"{deployment.sandbox}/sandbox/api/bots/bot/users/{ADA}"
    async with deployment.web.get(f"{chat}/chat") as response:
        newest = (await response.json())["messages"][-1]
    async with deployment.web.post(
        f"{chat}/callback", json={"message_id": newest["message_id"], "data": data}
    ) as response:
        assert response.status == 200, await response.text()


async def idle(deployment: Rig) -> None:
    """Wait until no update waits."""

    async def nothing() -> bool:
        return await deployment.waiting() == 0

    await eventually(nothing)


async def fsm_keys(deployment: Rig, app: str = "bot") -> dict[str, int]:
    """Return what an app keeps of conversations, with how many seconds for."""
    client, start = deployment.broker.client, deployment.broker.keys.app(app).fsm
    return {key.decode()[len(start) + 1 :]: await client.ttl(key) async for key in client.scan_iter(f"{start}:*")}


# Scenes


class Quiz(Scene, state="quiz"):
    @on.message.enter()
    async def begin(self, event: Any) -> None:
        await self.wizard.set_data({"guesses": []})
        await event.answer("guess")

    @on.message(Command("leave"))
    async def give_up(self, _event: Any) -> None:
        await self.wizard.exit()

    @on.message(F.text == "other")
    async def change(self, _event: Any) -> None:
        await self.wizard.goto(Pause)

    @on.message.exit()
    async def end(self, event: Any, app: App) -> None:
        await event.answer(f"{app.name}: {' '.join((await self.wizard.get_data())['guesses'])}")

    @on.message()
    async def guess(self, event: Any) -> Any:
        guesses = [*(await self.wizard.get_data())["guesses"], event.text]
        await self.wizard.update_data(guesses=guesses)
        return event.answer(f"guess {len(guesses) + 1}")


class Pause(Scene, state="pause"):
    @on.message.enter()
    async def begin(self, event: Any) -> None:
        await event.answer("a pause")

    @on.message(F.text == "back")
    async def again(self, event: Any) -> None:
        await event.answer("welcome back")
        await self.wizard.back()


class Quizzes(App):
    def setup_router(self, router: Router) -> None:
        SceneRegistry(router).add(Quiz, Pause)
        router.message.register(Quiz.as_handler(), Command("quiz"))

    async def on_telegram_message(self, event: Any) -> Any:
        return event.answer(f"no scene: {await self.fsm(event).get_state()}")


async def test_a_scene_is_entered_kept_in_redis_and_left(deployment: Rig) -> None:
    deployment.bot_settings["fsm-ttl"] = TTL
    async with serving(deployment, Quizzes):
        await eventually(deployment.runs)
        assert await said(deployment, "seven") == ["no scene: None"]
        assert await said(deployment, "/quiz") == ["guess"]
        assert await said(deployment, "seven") == ["guess 2"]
        kept = await fsm_keys(deployment)
        assert {f"{ADA}:{ADA}:default:state", f"{ADA}:{ADA}:default:data"} <= kept.keys()
        assert all(0 < seconds <= TTL for seconds in kept.values()), kept
    async with serving(deployment, Quizzes):  # what another worker knows is in Redis alone
        await eventually(deployment.runs)
        assert await said(deployment, "eight") == ["guess 3"]
        assert await said(deployment, "other") == ["a pause"]
        assert await said(deployment, "back", 2) == ["welcome back", "guess"]
        assert await said(deployment, "nine") == ["guess 2"]
        assert await said(deployment, "/leave") == ["bot: nine"]
        assert await said(deployment, "nine") == ["no scene: None"]


# Middlewares and errors


class Noting(BaseMiddleware):
    """Writes down when it is entered and left, and gives its name to handlers."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, handler: Any, event: Any, data: dict[str, Any]) -> Any:
        app = data["app"]
        await app.note(f"+{self.name}")
        data["path"] = (*data.get("path", ()), self.name)
        result = await handler(event, data)
        await app.note(f"-{self.name}")
        return result


class Layered(App):
    async def note(self, text: str) -> None:
        await self.redis.rpush(self.key("notes"), text)

    def setup_router(self, router: Router) -> None:
        for observer in (router.message, router.callback_query):
            observer.outer_middleware(Noting("outer1"))
            observer.outer_middleware(Noting("outer2"))
            observer.middleware(Noting("inner1"))
            observer.middleware(Noting("inner2"))

        @router.message.outer_middleware
        async def watch(handler: Any, event: Any, data: dict[str, Any]) -> Any:
            if event.text == "drop":
                return None
            if event.text == "skip":
                raise SkipHandler
            return await handler(event, data)

        @router.message.middleware
        async def wrap(handler: Any, event: Any, data: dict[str, Any]) -> Any:
            try:
                return await handler(event, data)
            except ZeroDivisionError:
                return event.answer("wrapped")

        @router.message(F.text == "hello")
        async def hello(event: Any, path: tuple[str, ...], event_from_user: Any, bot: Any) -> Any:
            button = InlineKeyboardButton(text="press", callback_data="x")
            text = f"{event_from_user.first_name} {bot.id} {' '.join(path)}"
            return event.answer(text, reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))

        @router.callback_query(F.data == "x")
        async def pressed(event: Any, path: tuple[str, ...]) -> Any:
            return event.message.answer(f"pressed {' '.join(path)}")

        @router.message(F.text == "divide")
        async def divide(_event: Any) -> None:
            _ = 1 // 0

    async def on_telegram_message(self, event: Any) -> Any:
        return event.answer(f"left over: {event.text}")


WHOLE_WAY = "outer1 outer2 inner1 inner2"
IN_AND_OUT = ["+outer1", "+outer2", "+inner1", "+inner2", "-inner2", "-inner1", "-outer2", "-outer1"]


async def test_middlewares_run_in_order_and_give_to_handlers(deployment: Rig) -> None:
    async with serving(deployment, Layered):
        await eventually(deployment.runs)
        assert await said(deployment, "hello") == [f"Ada 42 {WHOLE_WAY}"]
        assert await listed(deployment, "notes", 8) == IN_AND_OUT
        await press(deployment, "x")

        async def pressed() -> bool:
            return f"pressed {WHOLE_WAY}" in await deployment.answers()

        await eventually(pressed)
        assert await listed(deployment, "notes", 16) == [*IN_AND_OUT, *IN_AND_OUT]


async def test_middlewares_drop_skip_and_wrap(deployment: Rig) -> None:
    async with serving(deployment, Layered):
        await eventually(deployment.runs)
        await deployment.say("drop")
        assert await said(deployment, "skip") == ["left over: skip"]  # the same chat: "drop" came first
        assert await said(deployment, "divide") == ["wrapped"]
        assert await said(deployment, "bye") == ["left over: bye"]
        await idle(deployment)
        assert await deployment.dead() == []


class Failing(App):
    through_dispatcher = False

    async def pass_on(self, handler: Any, event: Any, data: dict[str, Any]) -> Any:
        await self.redis.rpush(self.key("passed"), event.event_type)
        return await handler(event, data)

    def setup_router(self, router: Router) -> None:
        inner = Router()
        router.include_router(inner)

        @router.error(ExceptionTypeFilter(ZeroDivisionError), F.update.message.as_("failed"))
        async def forgive(event: ErrorEvent, failed: Any, app: App) -> Any:
            return failed.answer(f"{app.name}: {type(event.exception).__name__}")

        @inner.errors(ExceptionTypeFilter(KeyError))
        async def note(event: ErrorEvent, state: Any) -> None:
            kind = event.update.event_type
            await self.redis.rpush(self.key("errors"), f"{kind} {event.exception} {await state.get_state()}")

        @router.startup()
        async def add(dispatcher: Any) -> None:
            if self.through_dispatcher:
                dispatcher.update.outer_middleware(self.pass_on)

        @inner.message(F.text == "divide")
        async def divide(_event: Any) -> None:
            _ = 1 // 0

        @inner.edited_message()
        async def edited(event: Any) -> None:
            raise KeyError(f"{event.text} {await self.fsm(event).get_state()}")

    async def on_telegram_message(self, event: Any) -> None:
        if event.text == "look up":
            raise KeyError("of the hook")
        raise RuntimeError("for nobody")


class FailingElsewhere(Failing):
    through_dispatcher = True


@pytest.mark.parametrize("app_class", [Failing, FailingElsewhere])
async def test_error_handlers_acknowledge_and_answer(deployment: Rig, app_class: type[Failing]) -> None:
    async with serving(deployment, app_class):
        await eventually(deployment.runs)
        assert await said(deployment, "divide") == ["bot: ZeroDivisionError"]
        await deployment.say("look up")
        await deployment.feed(message(7, ADA, "edit", "edited_message"))
        noted = await listed(deployment, "errors", 2)
        assert sorted(noted) == ["edited_message 'edit None' None", "message 'of the hook' None"]
        await idle(deployment)
        assert await deployment.dead() == []
        await deployment.say("whatever")
        [letter] = await eventually(deployment.dead)
        assert letter["error"] == "RuntimeError"  # which no handler takes
        assert bool(await deployment.listed("passed")) is app_class.through_dispatcher


# Filters, nested routers, methods as results, kinds without a hook


class Order(CallbackData, prefix="order"):
    dish: str
    number: int


class Number(Filter):
    """Gives the number that a text is."""

    async def __call__(self, event: Any, app: App) -> bool | dict[str, Any]:
        return {"number": int(event.text), "by": app.name} if (event.text or "").isdecimal() else False


class Step(StatesGroup):
    asked = State()


class Sieve(App):
    def setup_router(self, router: Router) -> None:
        outer, inner = Router(name="outer"), Router(name="inner")
        inner.message.filter(F.text.startswith("in:"))
        router.include_routers(outer)
        outer.include_router(inner)

        @router.message(F.text.regexp(r"^say (\w+)$").as_("match"))
        async def say(event: Any, match: Any) -> Any:
            return SendMessage(chat_id=event.chat.id, text=match[1])

        @router.message(Command("add", "sum"))
        async def add(event: Any, command: CommandObject) -> Any:
            return event.reply(f"{command.command} {sum(map(int, (command.args or '0').split()))}")

        @router.message(Number())
        async def number(event: Any, number: int, by: str) -> Any:
            return event.answer(f"{by} {number + 1}")

        @router.message(F.text == "menu")
        async def menu(event: Any) -> Any:
            data = Order(dish="soup", number=2).pack()
            rows = [[InlineKeyboardButton(text="soup", callback_data=data)]]
            return event.answer("what?", reply_markup=InlineKeyboardMarkup(inline_keyboard=rows))

        @router.callback_query(Order.filter(F.number > 1))
        async def order(event: Any, callback_data: Order) -> Any:
            await event.message.answer(f"{callback_data.number} x {callback_data.dish}")
            return event.answer("it comes")

        @inner.message()
        async def deep(event: Any, event_router: Router) -> Any:
            if event.text == "in:skip":
                raise SkipHandler
            return event.answer(f"{event_router.name} has {event.text}")

        @outer.message(F.text == "ask")
        async def ask(event: Any, state: Any) -> Any:
            await state.set_state(Step.asked)
            return event.answer("well?")

        @inner.edited_message(Step.asked)
        async def edited(event: Any, raw_state: str) -> Any:
            return event.answer(f"edited to {event.text} in {raw_state}")

        @outer.my_chat_member()
        async def member(event: Any) -> None:
            await self.redis.rpush(self.key("members"), event.new_chat_member.status)

    async def on_telegram_message(self, event: Any) -> Any:
        return event.answer("nobody's")

    async def on_telegram_callback(self, event: Any) -> Any:
        return event.answer("nobody's")


async def test_filters_nested_routers_and_returned_methods(deployment: Rig) -> None:
    async with serving(deployment, Sieve):
        await eventually(deployment.runs)
        assert await said(deployment, "say cheese") == ["cheese"]
        assert await said(deployment, "/add 1 2 3") == ["add 6"]
        assert await said(deployment, "/sum@bot_bot 4 5") == ["sum 9"]
        assert await said(deployment, "/sum@another_bot 4 5") == ["nobody's"]
        assert await said(deployment, "41") == ["bot 42"]
        assert await said(deployment, "in:deep") == ["inner has in:deep"]
        assert await said(deployment, "in:skip") == ["nobody's"]
        assert await said(deployment, "menu") == ["what?"]
        await press(deployment, "order:soup:2")

        async def ordered() -> bool:
            return "2 x soup" in await deployment.answers()

        await eventually(ordered)


async def test_kinds_without_a_hook_reach_the_router(deployment: Rig) -> None:
    async with serving(deployment, Sieve):
        await eventually(deployment.runs)
        assert await said(deployment, "ask") == ["well?"]
        await deployment.feed(message(7, ADA, "this", "edited_message"))

        async def answered() -> bool:
            return "edited to this in Step:asked" in await deployment.answers()

        await eventually(answered)
        async with deployment.web.post(
            f"{deployment.sandbox}/sandbox/api/bots/bot/users/{ADA}/block", json={}
        ) as response:
            assert response.status == 200, await response.text()
        assert await listed(deployment, "members", 1) == ["kicked"]


# Several apps in one worker


class Counting(App):
    """Counts in the conversation's state, by its hook and by its router."""

    def setup_router(self, router: Router) -> None:
        async def who(event: Any, app: App, bot: Any) -> Any:
            return event.answer(f"{app.name} {self.name} {bot.id} {self.router is router} {app is self}")

        router.message.register(who, F.text == "who")

    async def on_telegram_message(self, event: Any) -> Any:
        state = self.fsm(event)
        count = (await state.get_data()).get("count", 0) + 1
        await state.update_data(count=count)
        return event.answer(f"{self.name} {count}")


class Different(Counting):
    def setup_router(self, router: Router) -> None:
        super().setup_router(router)

        @router.message(F.text == "state")
        async def state(event: Any, state: Any) -> Any:
            return event.answer(f"{await state.get_data()}")


@pytest.mark.parametrize("second", [Counting, Different])
async def test_two_apps_in_one_worker_keep_apart(deployment: Rig, second: type[App]) -> None:
    deployment.apps = {
        "bot": {"class": f"{__name__}:Counting", "bot-token": TOKEN},
        "other": {"class": f"{__name__}:{second.__name__}", "bot-token": "43:sandbox-other"},
    }
    async with deployment.worker():
        await eventually(deployment.runs)
        await eventually(lambda: deployment.runs("other"))
        assert await said(deployment, "who") == ["bot bot 42 True True"]
        assert await said(deployment, "who", bot="other") == ["other other 43 True True"]
        assert await said(deployment, "one") == ["bot 1"]
        assert await said(deployment, "two") == ["bot 2"]
        assert await said(deployment, "one", bot="other") == ["other 1"]
        state = await said(deployment, "state", bot="other")
        assert state == (["other 2"] if second is Counting else ["{'count': 1}"])
        assert await said(deployment, "three") == ["bot 3"]
        for app in ("bot", "other"):
            assert list(await fsm_keys(deployment, app)) == [f"{ADA}:{ADA}:default:data"]
