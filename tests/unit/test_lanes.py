"""How lanes are shared out, and which kinds of updates are asked for."""

import pytest
from aiogram import Router

from bot_apps import Recorder, Routed, Tasked
from bot_worker.allowed_updates import allowed_updates
from bot_worker.crew import share
from mini_apps import App


@pytest.mark.parametrize(
    ("lanes", "workers", "fair"),
    [(16, 0, 16), (16, 1, 16), (16, 2, 8), (16, 3, 6), (16, 16, 1), (16, 40, 1), (1, 2, 1)],
)
def test_a_fair_share_covers_all_lanes(lanes: int, workers: int, fair: int) -> None:
    assert share(lanes, workers) == fair
    assert share(lanes, workers) * max(1, workers) >= lanes


async def kinds(app_class: type[App], **settings) -> list[str]:
    app, router = app_class(settings, "a"), Router()
    await _filled(app, router)
    return allowed_updates(app, router)


async def _filled(app: App, router: Router) -> None:
    app.setup_router(router)


class Inline(App):
    async def on_telegram_inline(self, event) -> None:
        pass


class RawOnly(App):
    async def on_telegram_callback_raw(self, event) -> None:
        pass


class Watching(App):
    def setup_router(self, router) -> None:
        async def middleware(handler, event, data):
            return await handler(event, data)

        router.chat_member.outer_middleware(middleware)
        child = Router()
        child.poll_answer.register(middleware)
        router.include_router(child)


ALWAYS = ["my_chat_member", "pre_checkout_query"]


async def test_what_an_app_handles_is_asked_for_and_nothing_else() -> None:
    assert await kinds(App) == ALWAYS
    assert await kinds(Tasked) == ALWAYS
    assert await kinds(Recorder) == ["message", *ALWAYS]  # commands and on_telegram_message
    assert await kinds(Routed) == ["edited_message", "message", *ALWAYS]
    assert await kinds(Inline) == ["inline_query", *ALWAYS]
    assert await kinds(RawOnly) == ["callback_query", *ALWAYS]
    assert await kinds(Watching) == ["chat_member", *ALWAYS[:1], "poll_answer", *ALWAYS[1:]]


async def test_the_settings_have_the_last_word() -> None:
    assert await kinds(Recorder, **{"allowed-updates": ["poll", "message"]}) == ["message", "poll"]
