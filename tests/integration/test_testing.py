"""The harness that authors test their apps with."""

import asyncio
import importlib
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mini_apps import App, AppError, User
from mini_apps.cli.new import new
from mini_apps.testing import MiniAppTest, Page
from mini_apps.testing.bot import NotSent
from mini_apps.testing.page import Closed, NotReceived
from shared.settings import SettingsError

Make = Callable[..., MiniAppTest]


class Wave(App):
    """Does a little of everything."""

    async def on_client_authenticated(self, client: Any) -> None:
        await client.send(type="hello", start=client.user.telegram_data.get("start_param", ""))

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "wave":
                await self.broadcast(type="waved", by=client.user.name, count=await self.redis.incr(self.key("waves")))
            case "write":
                await self.telegram.send_message(client.user.telegram_id, data["text"])
            case "double":
                return 2 * data["value"]
            case "refuse":
                raise AppError("Not today", code="closed")
            case "whisper":
                await self.send_to_user(data["to"], type="whispered", text=data["text"])
        return None

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Say hello."""
        return event.answer(f"Hello {event.from_user.first_name}! {args}".strip())

    async def on_telegram_message(self, event: Any) -> Any:
        await self.broadcast(type="written", text=event.text)
        return True


async def test_a_page_and_the_bot_of_one_app(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        ada = await t.open("ada", start_param="x")
        assert ada.welcome["name"] == "Ada Lovelace"
        await ada.receive("hello", start="x")
        await ada.send(type="wave")
        assert (await ada.receive("waved"))["count"] == 1
        assert await t.redis.get(t.app.key("waves")) == b"1"
        await t.user("ada").sends("/start")
        assert (await t.bot.sent("ada", "Hello Ada!")).chat == 1001
        assert await ada.request(type="double", value=21) == 42


async def test_users_on_different_nodes_hear_each_other_and_a_bot_message_reaches_the_pages(
    mini_app_test: Make,
) -> None:
    async with mini_app_test(Wave, nodes=2) as t:
        ada, carol = await t.open("ada"), await t.open("carol")
        assert (ada.node, carol.node) == ("ws-1", "ws-2")
        await carol.send(type="wave")
        await ada.receive("waved", by="Carol")
        await t.user("carol").sends("anybody?")
        assert (await ada.receive("written"))["text"] == "anybody?"
        await ada.request(type="whisper", to=t.user("carol").id, text="psst")
        await carol.receive("whispered", text="psst")
        await ada.nothing_received("whispered")


async def test_what_a_handler_sends_by_the_bot_is_seen(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        ada = await t.open("ada")
        await t.user("ada").sends("/start")
        await t.bot.sent("ada", "Hello")
        await ada.send(type="write", text="from the page")
        assert (await t.bot.sent("ada", "from the")).text == "from the page"
        await t.bot.nothing_sent()


async def test_an_error_of_the_app_is_raised_by_the_request(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        ada = await t.open("ada")
        with pytest.raises(AppError, match="Not today") as raised:
            await ada.request(type="refuse")
        assert raised.value.code == "closed"


async def test_what_was_not_sent_is_told_with_what_was(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        await t.user("ada").sends("/start")
        await t.user("ben").sends("/start again")
        with pytest.raises(NotSent) as raised:
            await t.bot.sent("ada", "Goodbye")
        assert str(raised.value) == (
            "the bot did not send ada 'Goodbye'; it sent ada\n  'Hello Ada!'\nand others\n  to ben: 'Hello Ben! again'"
        )
        with pytest.raises(AssertionError, match="sent ada nothing more, and sent\n  to ada: 'Hello Ada!'"):
            await t.bot.nothing_sent("ada")


async def test_what_did_not_come_is_told_with_what_came(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        ada = await t.open("ada")
        await ada.send(type="wave")
        await t.settled()
        with pytest.raises(NotReceived) as raised:
            await ada.receive("waved", count=7)
        assert "ada did not receive 'waved' with count=7 (all is at rest)" in str(raised.value)
        assert "'count': 1" in str(raised.value)
        with pytest.raises(AssertionError, match="should have received nothing of waved, and got"):
            await ada.nothing_received("waved")
        await ada.receive("waved")
        await ada.nothing_received("waved")
        await ada.close()
        with pytest.raises(Closed, match="ada cannot send 'wave': the connection is closed, code 1000"):
            await ada.send(type="wave")


async def test_a_page_comes_back_with_its_session(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        ada = await t.open("ada")
        await ada.lose()
        assert not ada.is_open
        again = await ada.reconnect()
        assert again["telegram_id"] == 1001
        await ada.request(type="double", value=1)


async def test_deployments_side_by_side_do_not_meet(mini_app_test: Make) -> None:
    async def waves(times: int) -> int:
        async with mini_app_test(Wave) as t:
            ada = await t.open("ada")
            for _ in range(times):
                await ada.send(type="wave")
            await t.settled()
            await ada.receive("waved", count=times)
            return int(await t.redis.get(t.app.key("waves")))

    assert await asyncio.gather(waves(3), waves(5)) == [3, 5]


def test_without_pytest_and_its_loop_it_works_too(mini_apps_valkey: Any) -> None:
    async def main() -> Page:
        async with MiniAppTest(Wave) as t:
            page = await t.open()
            await page.receive("hello")
        return page

    assert not asyncio.run(main()).is_open


async def test_a_new_app_passes_its_own_tests(
    mini_app_test: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(new("my-shop", tmp_path))
    monkeypatch.syspath_prepend(tmp_path / "my-shop")
    for name in ("app", "test_app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    tests = importlib.import_module("test_app")
    found = [test for name, test in vars(tests).items() if name.startswith("test_")]
    for test in found:
        await test(mini_app_test)
    assert len(found) == 3
    for name in ("app", "test_app"):
        monkeypatch.delitem(sys.modules, name)


def test_the_package_is_a_plugin_of_pytest() -> None:
    assert "mini_apps.testing.plugin" in [entry.value for entry in entry_points(group="pytest11")]


async def test_a_node_that_is_killed_loses_its_pages_and_one_that_stops_sends_them_on(mini_app_test: Make) -> None:
    async with mini_app_test(Wave, nodes=2) as t:
        ada, ben = await t.open("ada", node=0), await t.open("ben", node=1)
        await t.nodes[0].kill()
        assert await ada.closed() == 1006
        await ada.reconnect()
        assert ada.node == "ws-2"
        await t.nodes[0].start()
        await t.nodes[1].stop()
        assert [await page.closed() for page in (ada, ben)] == [4005, 4005]
        assert (ben.close_reason, repr(t.nodes[1])) == ("draining", "<ws-2 does not run>")
        await asyncio.gather(ada.reconnect(), ben.reconnect())
        await ada.send(type="wave")
        await ben.receive("waved")


async def test_what_is_sent_while_no_bot_worker_runs_is_handled_by_the_next(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        await t.worker.kill()
        await t.user("ada").sends("/start")
        await t.bot.nothing_sent()
        await t.worker.start()
        await t.bot.sent("ada", "Hello Ada!")


async def test_the_next_bot_worker_has_all_that_a_killed_one_had(mini_app_test: Make) -> None:
    async with mini_app_test(Wave) as t:
        for name in ("ada", "ben", "carol"):  # over both lanes
            await t.user(name).sends("/start")
            await t.bot.sent(name, "Hello")
        await t.worker.kill()
        await t.worker.start()
        for name in ("ada", "ben", "carol"):
            await t.user(name).sends("/start")
            await t.bot.sent(name, "Hello")


async def test_an_error_in_a_hook_is_told_where_a_message_is_missed(mini_app_test: Make) -> None:
    class Broken(App):
        async def on_telegram_message(self, event: Any) -> Any:
            raise LookupError("no such thing")

    async with mini_app_test(Broken) as t:
        await t.user("ada").sends("hello")
        with pytest.raises(NotSent, match=r"(?s)it sent ada\n  nothing\n.*after LookupError: no such thing: in 1 s"):
            await t.bot.sent("ada", "thing")


async def test_an_error_in_a_handler_is_told_where_a_message_is_missed(mini_app_test: Make) -> None:
    class Broken(App):
        async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
            raise LookupError("no such thing")

    async with mini_app_test(Broken) as t:
        ada = await t.open("ada")
        await ada.send(type="go")
        with pytest.raises(NotReceived, match=r"(?s)Internal server error.*LookupError: no such thing \(.*\.py:\d+\)"):
            await ada.receive("gone")


async def test_mistakes_in_the_settings_are_named(mini_app_test: Make) -> None:
    with pytest.raises(SettingsError, match="presence-grace"):
        async with mini_app_test(Wave, settings={"ws": {"presence-graze": 1}}):
            pass
    with pytest.raises(SettingsError, match=r"settings\['greeting'\] must be a dict .* settings\[\"app\"\]"):
        mini_app_test(Wave, settings={"greeting": "hi"})


async def test_the_database_and_the_authors_own_settings_are_there(mini_app_test: Make) -> None:
    async with mini_app_test(Wave, settings={"app": {"greeting": "hi"}}, name="hello-app") as t:
        await t.open("ada")
        assert t.app.settings.greeting == "hi"
        assert t.app.name == "hello-app"
        async with t.db() as session:
            assert [user.name for user in await session.scalars(select(User))] == ["Ada Lovelace"]
        assert [client.user.telegram_id for client in t.nodes[0].apps["hello-app"].clients.values()] == [1001]
