"""The command line against running nodes: what it says holds on every node, for those who are connected too."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dev_support import environment, run
from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page
from support import TOKEN

TESTS = Path(__file__).parents[1]


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield cluster
    await cluster.aclose()


async def _users(cluster: Cluster, tmp_path: Path, *words: str) -> str:
    settings = {f"MINI_APPS__{key}": value for key, value in cluster.settings.items()}
    env = environment(tmp_path, **settings)
    done = await asyncio.to_thread(run, "users", *words, "--app", "chat", cwd=TESTS, env=env)
    return str(done.stdout + done.stderr)


async def test_an_admin_at_the_command_line_reaches_every_node(cluster: Cluster, tmp_path: Path) -> None:
    one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
    async with one.user(7) as first, two.user(7) as second, one.user(8) as other:
        for page in (first, second):
            assert await _is_admin(page) is False
        assert await _users(cluster, tmp_path, "admin", "7") == "7 is an admin of chat\n"
        for page in (first, second):
            while not await _is_admin(page):
                pass
        assert await _users(cluster, tmp_path, "disconnect", "7") == "7 is disconnected from chat\n"
        for page in (first, second):
            assert await page.closed() == 1000
        async with two.user(7) as again:
            assert await _users(cluster, tmp_path, "ban", "7") == "7 is banned from chat\n"
            assert await again.receive("disconnect") == {"type": "disconnect", "code": 4501, "reason": "banned"}
        assert await _users(cluster, tmp_path, "unban", "7") == "7 is let in to chat\n"
        async with one.user(7) as lost:
            told = await _users(cluster, tmp_path, "revoke", "7")
            assert told == "7 has no session at chat any more, and logs in with init data again\n"
            assert await lost.closed() == 4006
        async with one.user(7):
            pass
        await other.send(type="echo", value="undisturbed", id=1)
        await other.receive("reply", id=1)


async def _is_admin(page: Page) -> bool:
    await page.send(type="admin", id="admin")
    return bool((await page.receive("reply", id="admin"))["data"])


async def test_a_user_is_sent_away_for_good_with_a_reason(cluster: Cluster, tmp_path: Path) -> None:
    node = await cluster.node()
    async with node.page() as page:
        await page.send(type="login", app="chat", data=sign_init_data(TOKEN, user={"id": 7, "first_name": "G"}))
        await page.receive("welcome")
        told = await _users(cluster, tmp_path, "disconnect", "7", "--code", "4510", "--reason", "game over")
        assert told == "7 is disconnected from chat\n"
        assert await page.receive("disconnect") == {"type": "disconnect", "code": 4510, "reason": "game over"}
        assert await page.closed() == 4510
    assert await _users(cluster, tmp_path, "disconnect", "9") == "9 is not connected to chat\n"
    assert "1006 is no close code for this" in await _users(cluster, tmp_path, "disconnect", "9", "--code", "1006")
