"""The session that leaves out what aiogram's own does again for each bot."""

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods import GetMe

from mini_apps.telegram_session import LeanSession


async def test_it_is_set_up_as_aiograms_own_is() -> None:
    own, lean = AiohttpSession(limit=7), LeanSession(limit=7)
    assert vars(lean).keys() == vars(own).keys()
    same = vars(lean).keys() - {"middleware", "_connector_init"}
    assert {name: vars(lean)[name] for name in same} == {name: vars(own)[name] for name in same}
    assert lean._connector_init.keys() == own._connector_init.keys()
    assert lean._connector_init["ssl"] is LeanSession()._connector_init["ssl"]
    assert lean._connector_init["ssl"].verify_mode == own._connector_init["ssl"].verify_mode


async def test_an_answer_is_read_as_aiogram_reads_it() -> None:
    bot = Bot("42:x", session=LeanSession())
    text = '{"ok":true,"result":{"id":42,"is_bot":true,"first_name":"B"}}'
    assert LeanSession().check_response(bot, GetMe(), 200, text).result.first_name == "B"


@pytest.mark.parametrize(("server", "waits"), [("http://127.0.0.1:1", False), ("https://127.0.0.1:1", True)])
async def test_closing_waits_for_tls_only_where_it_is_spoken(
    server: str, *, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    session = LeanSession(api=TelegramAPIServer.from_base(server))
    inner = await session.create_session()
    monkeypatch.setattr("aiogram.client.session.aiohttp.asyncio.sleep", sleep)
    await session.close()
    assert inner.closed
    assert bool(slept) is waits
