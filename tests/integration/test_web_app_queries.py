"""What a bot does in the name of a user with the mini app open, by one call of the client each."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import InlineQueryResultArticle, InputTextMessageContent

from app_mesh import Link, bound, make_settings, open_mesh
from mini_apps import App, Client, Notice, Way
from mini_apps.bot_status import TelegramMe
from mini_apps.embedded import EmbeddedValkey
from reach_rig import reach
from sandbox_desk import ADA, APP_URL, Desk, desk
from shared.broker import Broker
from support import TOKEN


class Table:
    """A client whose app has a bot at a local Telegram."""

    def __init__(self, telegram: Desk, app: App, client: Client) -> None:
        self.telegram, self.app, self.client = telegram, app, client

    async def log_in(self, source: str) -> None:
        """Open the mini app in some way and log in with what it is given."""
        url = (await self.telegram.act(ADA, "launch", source=source))["url"]
        data = parse_qs(urlsplit(url).fragment)["tgWebAppData"][0]
        await self.app.login(self.client, {"type": "login", "app": "counter", "data": data})

    async def last(self) -> dict[str, Any]:
        """Give the newest message of the chat."""
        message: dict[str, Any] = (await self.telegram.chat(ADA))["messages"][-1]
        return message


@pytest.fixture
async def table(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Table]:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"bot-token": TOKEN, "url": APP_URL})
    async with open_mesh(settings) as mesh, desk() as telegram, telegram.bot() as bot:
        app = await bound(App, mesh, "counter")

        async def run() -> None: ...

        await app.attach_telegram(bot, run, TelegramMe(42, "counter_bot", "Counter"))
        await telegram.act(ADA, "messages", text="/start")
        yield Table(telegram, app, Client("c1", app, Link()))


@pytest.mark.parametrize(
    "result",
    [
        "I won!",
        {"type": "article", "title": "Won", "input_message_content": {"message_text": "I won!"}},
        InlineQueryResultArticle(
            id="7", title="Won", input_message_content=InputTextMessageContent(message_text="I won!")
        ),
    ],
)
async def test_the_query_of_the_login_is_answered_once(table: Table, result: Any) -> None:
    await table.log_in("menu")
    assert await table.client.answer_query(result) is None
    message = await table.last()
    assert (message["text"], message["from"]["id"], message["via_bot"]["id"]) == ("I won!", ADA, 42)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await table.client.answer_query(result)


async def test_an_answer_that_can_be_edited_has_an_id(table: Table) -> None:
    await table.log_in("inline_button")
    keyboard = {"inline_keyboard": [[{"text": "Open", "url": "https://t.me/counter_bot/counter"}]]}
    content = {"message_text": "I won!"}
    id_ = await table.client.answer_query(
        {"type": "article", "title": "Won", "input_message_content": content, "reply_markup": keyboard}
    )
    assert id_
    await table.app.telegram.edit_message_text("I lost", inline_message_id=id_)
    assert (await table.last())["text"] == "I lost"


async def test_the_query_outlives_the_first_socket(table: Table) -> None:
    await table.log_in("menu")
    token, _ = table.app.seal_session(table.client.user, time.time())
    again = Client("c2", table.app, Link())
    await table.app.login(again, {"type": "login", "app": "counter", "session": token})
    await again.answer_query("I won!")
    assert (await table.last())["text"] == "I won!"


async def test_who_came_by_a_link_has_no_query(table: Table) -> None:
    await table.log_in("direct")
    with pytest.raises(ValueError, match="takes an answer"):
        await table.client.answer_query("I won!")


async def test_a_prepared_message_is_shared_by_the_user(table: Table) -> None:
    await table.log_in("direct")
    id_ = await table.client.prepare_message("I won!")
    await table.telegram.act(ADA, "share", id=id_)
    assert (await table.last())["text"] == "I won!"
    with pytest.raises(ValueError, match="a kind of chat"):
        await table.client.prepare_message("x", users=False, groups=False, channels=False)


async def test_the_menu_button_of_one_user(table: Table) -> None:
    await table.log_in("menu")
    await table.client.set_menu_button("Play")
    button = (await table.telegram.chat(ADA))["menu_button"]
    assert (button["text"], button["web_app"]["url"]) == ("Play", APP_URL)
    await table.client.set_menu_button("Shop", f"{APP_URL}shop")
    assert (await table.telegram.chat(ADA))["menu_button"]["web_app"]["url"] == f"{APP_URL}shop"
    await table.client.set_menu_button(None)
    button = (await table.telegram.chat(ADA))["menu_button"]
    assert button["text"] not in ("Play", "Shop")


async def test_a_notice_without_a_wait_goes_to_the_bot(table: Table) -> None:
    markup = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]}
    notice = Notice(wait=0, silent=True, reply_markup=markup)
    assert await table.app.notify(ADA, "hi", options_=notice) is Way.BOT
    assert (await table.last())["reply_markup"] == markup
    with pytest.raises(ValueError, match="1 to 4096"):
        await table.app.notify(ADA, "")
    with pytest.raises(ValueError, match="choose another"):
        await table.app.notify(ADA, "x", type="welcome")


async def test_from_a_node_over_a_bot_worker(valkey: EmbeddedValkey, broker: Broker, tmp_path: Path) -> None:
    async with reach(valkey, broker, tmp_path) as rig:
        node = await rig.cluster.node()
        url = (await rig.telegram.act(ADA, "launch", source="menu"))["url"]
        async with node.page() as page:
            await page.send(type="login", app="chat", data=parse_qs(urlsplit(url).fragment)["tgWebAppData"][0])
            await page.receive("welcome")
            await page.send(type="answer", result="I won!", id=1)
            assert (await page.receive("reply", id=1))["data"] is None
            await page.send(type="answer", result="Again", id=2)
            await page.receive("error", id=2)
            await page.send(type="prepare", result="Look", id=3)
            prepared = (await page.receive("reply", id=3))["data"]
            await rig.telegram.act(ADA, "share", id=prepared)
            await page.send(type="button", text="Play", id=4)
            await page.receive("reply", id=4)
        chat = await rig.telegram.chat(ADA)
        assert [message["text"] for message in chat["messages"]] == ["I won!", "Look"]
        assert chat["menu_button"]["text"] == "Play"
