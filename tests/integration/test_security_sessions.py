"""What a session token is good for in wrong hands: nothing in another app, nothing when it is old, nothing once ended.

And which pages a node talks to at all.
"""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, Page, RunningNode
from shared.init_data import webapp_key
from shared.session_token import Session, SessionKeys, derive_key
from support import TOKEN

USER = 1001
HOUR, DAY = 3_600, 86_400


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    other = {"APPS__OTHER__CLASS": "chat_app:Chat", "APPS__OTHER__BOT_TOKEN": "44:other"}
    cluster = Cluster(tmp_path, valkey.url, prefix, **other)
    yield cluster
    await cluster.aclose()


async def refused(node: RunningNode, **login: Any) -> tuple[int, str]:
    """Log in, which must fail, and return close code and reason."""
    async with node.page() as page:
        await page.send(type="login", **login)
        told = await page.receive("disconnect")
        assert await page.closed() == told["code"]
        assert page.messages == []
        return told["code"], told["reason"]


async def session_of(page: Page) -> str:
    token: str = (await page.login(USER))["session"]
    return token


def sealed(*, issued: float, first_login: float, token: str = TOKEN) -> str:
    """Make a token as a node of this deployment would have made it then."""
    keys = SessionKeys([derive_key(webapp_key(token))])
    launch = {"user": json.dumps({"id": USER, "first_name": "Ada"}), "auth_date": str(int(first_login))}
    return keys.seal(Session(app="chat", telegram_id=USER, launch=launch, issued=issued, first_login=first_login))


async def test_a_token_of_one_app_opens_no_other(cluster: Cluster) -> None:
    node = await cluster.node()
    async with node.page() as page:
        token = await session_of(page)
        assert await refused(node, app="other", session=token) == (4500, "session")
        await page.send(type="echo", app="other", value=1, id=1)
        assert (await page.receive("error", id=1))["code"] == "app"


async def test_a_token_is_good_for_its_time_only(cluster: Cluster) -> None:
    node, now = await cluster.node(), time.time()
    async with node.page() as page:  # that such a token is taken at all
        await page.send(type="login", app="chat", session=sealed(issued=now - HOUR + 60, first_login=now - DAY + 60))
        assert (await page.receive("welcome"))["telegram_id"] == USER
    for issued, first_login in ((now - HOUR - 1, now - HOUR - 1), (now - 1, now - DAY - 1), (now + HOUR, now)):
        token = sealed(issued=issued, first_login=first_login)
        assert await refused(node, app="chat", session=token) == (4500, "session")


async def test_a_token_under_another_key_is_none(cluster: Cluster) -> None:
    node, now = await cluster.node(), time.time()
    forged = sealed(issued=now, first_login=now, token="43:stranger")
    assert await refused(node, app="chat", session=forged) == (4500, "session")


async def test_a_stolen_token_is_its_user_until_a_ban_ends_it_everywhere(cluster: Cluster) -> None:
    one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
    async with one.page() as page, two.page() as thief, one.user(7) as admin:
        token = await session_of(page)
        await thief.send(type="login", app="chat", session=token)
        assert (await thief.receive("welcome"))["telegram_id"] == USER
        await admin.send(type="ban", user=USER)
        assert await page.closed() == await thief.closed() == 4501
    assert await refused(two, app="chat", session=token) == (4501, "banned")


async def test_a_revoke_ends_all_sessions_of_a_user_who_then_logs_in_anew(cluster: Cluster) -> None:
    one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
    async with one.page() as page, two.page() as thief, one.user(7) as admin:
        token = await session_of(page)
        await thief.send(type="login", app="chat", session=token)
        stolen = (await thief.receive("welcome"))["session"]
        await admin.send(type="revoke", user=USER)
        for closed in (page, thief):
            assert (await closed.receive("reconnect"))["reason"] == "session ended"
            assert await closed.closed() == 4006
        for void in (token, stolen):
            assert await refused(two, app="chat", session=void) == (4500, "session")
        async with two.page() as again:
            fresh = await session_of(again)
        async with one.page() as later:
            await later.send(type="login", app="chat", session=fresh)
            assert (await later.receive("welcome"))["telegram_id"] == USER
        await admin.send(type="echo", value="undisturbed", id=1)
        await admin.receive("reply", id=1)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://app.example:8443",
        "http://app.example",
        "null",
        "https://app.example/",
        "",
    ],
)
async def test_only_pages_of_the_origins_in_the_settings_may_open_a_socket(cluster: Cluster, origin: str) -> None:
    node = await cluster.node(WS__ALLOWED_ORIGINS="https://app.example")
    async with node.user(origin="https://app.example"):
        pass
    async with connect(node.url, origin=None, additional_headers={"Origin": origin}) as socket:
        told = json.loads(await socket.recv())
        assert (told["type"], told["code"]) == ("disconnect", 4504)
        await socket.wait_closed()
        assert socket.close_code == 4504
