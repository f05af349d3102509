"""Time in deployments under test: it stands still, and passes by `advance` for the services, the app and Redis."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mini_apps import App, Channel
from mini_apps.testing import MiniAppTest, sign_init_data
from mini_apps.testing.bot import NotSent

Make = Callable[..., MiniAppTest]


class Patient(App):
    """Has something for each timer."""

    channels = {"room": Channel(presence=True, history=10, ttl=300)}  # noqa: RUF012 - as an author writes it

    async def on_subscribe(self, client: Any, channel: str) -> bool:
        return True

    async def on_user_offline(self, telegram_id: int) -> None:
        await self.broadcast(type="offline", who=telegram_id)

    async def handle_message(self, client: Any, type: str, data: dict[str, Any]) -> Any:
        match type:
            case "cool":
                return bool(await self.redis.set(self.key("cool"), 1, nx=True, ex=60))
            case "notify":
                return (await self.notify(data["to"], "Wake up")).value
            case "time":
                return self.clock.time()
            case "hang":
                await asyncio.Event().wait()
        return None

    def server_tasks(self) -> Any:
        return [self.tick]

    async def tick(self) -> None:
        while True:
            await self.clock.sleep(60)
            await self.broadcast(type="tick", at=self.clock.time())

    async def on_telegram_message(self, event: Any) -> Any:
        if event.text == "fail" and await self.redis.incr(self.key("fails")) < 3:
            raise RuntimeError("not yet")
        return event.answer(f"done {event.text}")

    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Start."""
        return event.answer("hello")


async def test_a_failed_update_is_tried_again_when_its_delay_has_passed_and_not_before(mini_app_test: Make) -> None:
    async with mini_app_test(Patient, settings={"bot": {"retry-delays": [5, 15, 60]}}) as t:
        await t.user("ada").sends("/start")
        await t.bot.sent("ada", "hello")
        await t.user("ada").sends("fail")
        await t.bot.nothing_sent()
        await t.advance(4.999)
        with pytest.raises(NotSent) as raised:
            await t.bot.sent("ada", "done")
        assert "an update failed and is tried again" not in str(raised.value)
        assert "after RuntimeError: not yet: in 0.001 s" in str(raised.value)
        await t.advance(0.001)
        await t.bot.nothing_sent()
        await t.advance(15)
        await t.bot.sent("ada", "done fail")


async def test_time_passes_for_the_app_and_its_server_tasks(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        ada = await t.open("ada")
        began = await ada.request(type="time")
        await t.settled()  # the bot worker has taken the lease of the server tasks
        await t.advance(59.9)
        await ada.nothing_received()
        await t.advance(60.1)
        assert [(await ada.receive("tick"))["at"] - began for _ in range(2)] == [60, 120]
        assert await ada.request(type="time") == began + 120


async def test_what_the_app_keeps_in_redis_for_a_while_ends_with_it(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        ada = await t.open("ada")
        assert await ada.request(type="cool") is True
        await t.advance(50)
        assert await ada.request(type="cool") is False
        await t.advance(10)
        assert await ada.request(type="cool") is True


async def test_a_channels_history_ends_with_its_life(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        await t.app.publish("room", type="said", text="old")
        await t.advance(200)
        assert len(await t.app.history("room")) == 1
        await t.advance(100)
        assert await t.app.history("room") == []


async def test_who_went_away_is_gone_after_the_grace(mini_app_test: Make) -> None:
    async with mini_app_test(Patient, nodes=2, settings={"ws": {"presence-grace": 15}}) as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        for page in (ada, ben):
            await page.send(type="subscribe", channel="room")
            await page.receive("joined")
        await ada.receive("presence", event="join")
        await ben.lose()
        await t.advance(14)
        await ada.nothing_received("presence", "offline")
        await t.advance(4)  # the nodes look once a second
        assert (await ada.receive("presence", event="leave"))["user"]["telegram_id"] == 1002
        await ada.receive("offline", who=1002)
        await ada.nothing_received("presence", "offline")


async def test_who_comes_back_within_the_grace_was_never_gone(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        await ben.lose()
        await t.advance(10)
        await ben.reconnect()
        await t.advance(60)
        await ada.nothing_received("offline")


async def test_a_connection_without_a_login_lives_for_the_login_timeout(mini_app_test: Make) -> None:
    async with mini_app_test(Patient, settings={"ws": {"login-timeout": 10}}) as t:
        page = t.page("ada", "")
        await page.connect()
        await t.advance(9.9)
        assert page.is_open
        await t.advance(1.1)  # the nodes look twice a second
        assert await page.closed() == 4001


async def test_a_handler_that_hangs_is_cut_off(mini_app_test: Make) -> None:
    async with mini_app_test(Patient, settings={"ws": {"handler-timeout": 30}}) as t:
        ada = await t.open("ada")
        await ada.send(type="hang", id=1)
        await t.advance(31)
        assert (await ada.receive("error"))["msg"] == "Internal server error"


async def test_sessions_and_init_data_expire(mini_app_test: Make) -> None:
    async with mini_app_test(Patient, settings={"ws": {"session-ttl": 600, "init-data-max-age": 3600}}) as t:
        ada = await t.open("ada")
        await ada.close()
        await t.advance(599)
        await ada.reconnect()
        await ada.close()
        old = ada.session
        await t.advance(601)
        assert ada.session == old
        await ada.connect()
        await ada.send(type="login", app="patient", session=old)
        assert (await ada.closed(), ada.close_reason) == (4500, "session")
        page = await t.refused("ada", t.init_data("ada", age=3601))
        assert (page.close_code, page.close_reason) == (4500, "expired")
        forged = sign_init_data("43:another", auth_date=int(t.clock.time()), user={"id": 1001, "first_name": "Ada"})
        assert (await t.refused("ada", forged)).close_reason == "hash"


async def test_a_notice_that_nobody_confirms_goes_to_the_bot_after_five_seconds(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        await t.user("ben").sends("/start")
        await t.bot.sent("ben", "hello")
        ada, ben = await t.open("ada"), await t.open("ben", acks=False)
        await ada.send(type="notify", to=1002, id=1)
        await ben.receive("notify", text="Wake up")
        await t.advance(4.9)
        await t.bot.nothing_sent()
        await t.advance(0.1)
        await t.bot.sent("ben", "Wake up")
        assert (await ada.receive("reply", id=1))["data"] == "bot"


async def test_a_confirmed_notice_stays_on_the_page(mini_app_test: Make) -> None:
    async with mini_app_test(Patient) as t:
        ada, ben = await t.open("ada"), await t.open("ben")
        assert await ada.request(type="notify", to=1002) == "socket"
        await ben.receive("notify")
        await t.advance(10)
        await t.bot.nothing_sent()
