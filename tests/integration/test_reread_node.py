"""A running WebSocket node follows its settings file; nobody but the clients it concerns takes notice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mini_apps.embedded import EmbeddedValkey, free_port
from mini_apps.testing import sign_init_data
from nodes import Page, RunningNode
from shared.broker import Broker
from shared.lifecycle import Process
from support import eventually

ROOT = Path(__file__).parents[2]
TOKENS = {"one": "42:sandbox-one", "two": "43:sandbox-two"}


class Child:
    """A node as a process of its own, and the settings file it reads."""

    def __init__(self, folder: Path, valkey: EmbeddedValkey, prefix: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.apps: dict[str, dict[str, Any]] = {name: self.app(name) for name in TOKENS}
        self.more = {
            "redis": {"url": valkey.url, "prefix": prefix, "lease-seconds": 2},
            "database": {"url": f"sqlite+aiosqlite:///{folder}/db.sqlite"},
            "ws": {"port": self.port, "node-id": "ws-1", "drain-seconds": 5},
        }
        self.node = RunningNode(Process("ws", drain_seconds=5), f"ws://127.0.0.1:{self.port}/ws")
        self.process: subprocess.Popen[bytes]

    def app(self, name: str, **more: Any) -> dict[str, Any]:
        return {"class": "reread_app:Looking", "bot-token": TOKENS[name], **more}

    def write(self) -> None:
        draft = self.folder / "draft"
        draft.write_text(json.dumps({**self.more, "apps": self.apps}))
        draft.replace(self.folder / "settings.json")

    async def start(self) -> None:
        self.launch()
        await eventually(lambda: self.said("ready"), seconds=300, what="readiness")

    def launch(self) -> None:
        self.write()
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        command = [sys.executable, "-m", "ws_server", "--settings", str(self.folder / "settings.json")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, env=env, cwd=self.folder, stderr=log)

    def said(self, text: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        return [line for line in lines if text in line["event"]]

    async def changed(self, number: int = 1) -> dict[str, Any]:
        """Wait until the settings were taken over so many times, and return what the log says of the last."""
        await eventually(lambda: len(self.said("the apps were changed")) >= number, what="the new settings")
        return self.said("the apps were changed")[-1]

    def data(self, app: str, user: int = 1001, token: str = "") -> str:
        return sign_init_data(token or TOKENS[app], user={"id": user, "first_name": "Ada"})


@pytest.fixture
async def child(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Child]:
    child = Child(tmp_path, valkey, prefix)
    yield child
    child.process.kill()
    child.process.wait()


async def log_in(page: Page, child: Child, app: str, user: int = 1001, token: str = "") -> dict[str, Any]:
    await page.send(type="login", app=app, data=child.data(app, user, token))
    return await page.receive("welcome")


async def look(page: Page) -> Any:
    await page.send(type="look", id="look")
    return (await page.receive("reply", id="look"))["data"]


async def refused(child: Child, app: str, token: str = "") -> str:
    async with child.node.page() as page:
        await page.send(type="login", app=app, data=child.data(app, token=token))
        gone = await page.receive("disconnect")
        assert await page.closed() == gone["code"] == 4500
        return str(gone["reason"])


async def test_an_app_comes_and_goes_and_the_other_takes_no_notice(child: Child) -> None:
    del child.apps["two"]
    await child.start()
    async with child.node.page() as first, child.node.page() as second:
        await log_in(first, child, "one")
        assert await refused(child, "two") == "app"
        child.apps["two"] = child.app("two", greeting="hi")
        child.write()
        assert (await child.changed())["added"] == ["two"]
        await log_in(second, child, "two")
        assert await look(second) == ["hi", False]
        await second.send(type="shout", text="x")
        await second.receive("shouted")
        child.apps["two"]["enabled"] = False
        child.write()
        gone = await second.receive("disconnect")
        assert (gone["code"], gone["reason"], await second.closed()) == (4500, "app", 4500)
        assert (await child.changed(2))["removed"] == ["two"]
        assert await refused(child, "two") == "app"
        assert await look(first) == ["hello", False]
        del child.apps["two"]["enabled"]
        child.write()
        await child.changed(3)
        async with child.node.page() as again:
            await log_in(again, child, "two")
            await again.send(type="shout", text="x")
            await again.receive("shouted")
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(90) == 0


async def test_admins_and_bans_hold_at_once(child: Child) -> None:
    await child.start()
    async with child.node.page() as ada, child.node.page() as ben:
        await log_in(ada, child, "one", 1)
        await log_in(ben, child, "one", 2)
        child.apps["one"] |= {"admins": [1], "banned": [2]}
        child.write()
        assert (await ben.receive("disconnect"))["code"] == await ben.closed() == 4501
        await child.changed()

        async def is_admin() -> bool:
            return bool((await look(ada))[1])

        await eventually(is_admin, what="Ada to be an admin")
        async with child.node.page() as page:
            await page.send(type="login", app="one", data=child.data("one", 2))
            assert (await page.receive("disconnect"))["code"] == 4501
        child.apps["one"] = child.app("one")
        child.write()
        await child.changed(2)

        async def is_no_admin() -> bool:
            return not await is_admin()

        await eventually(is_no_admin, what="Ada to be no admin")
        async with child.node.page() as page:
            await log_in(page, child, "one", 2)


async def test_a_rotated_token_counts_from_the_next_login(child: Child) -> None:
    secret = child.folder / "token"
    secret.write_text(TOKENS["one"])
    child.apps["one"] = {"class": "reread_app:Looking", "bot-token-file": str(secret)}
    await child.start()
    async with child.node.page() as page, child.node.page() as other:
        session = (await log_in(page, child, "one"))["session"]
        await log_in(other, child, "two")
        secret.write_text("42:rotated")
        assert (await child.changed())["changed"] == {"one": ["bot_token"]}
        assert await refused(child, "one") == "hash"
        async with child.node.page() as back:
            await back.send(type="login", app="one", session=session)
            assert (await back.receive("disconnect"))["reason"] == "session"
        async with child.node.page() as new:
            await log_in(new, child, "one", token="42:rotated")
        assert await look(page) == ["hello", False]  # who is connected stays
        assert await look(other) == ["hello", False]
    assert "rotated" not in (child.folder / "log").read_text()


async def test_other_settings_start_the_app_anew_and_its_clients_come_back(child: Child) -> None:
    await child.start()
    async with child.node.page() as page, child.node.page() as other:
        await log_in(page, child, "one")
        await log_in(other, child, "two")
        child.apps["one"]["greeting"] = "welcome back"
        child.write()
        assert (await page.receive("reconnect"))["code"] == await page.closed() == 4005
        async with child.node.page() as again:
            await log_in(again, child, "one")
            assert await look(again) == ["welcome back", False]
        assert await look(other) == ["hello", False]
        await child.changed()


async def test_who_is_in_a_channel_stays_while_the_app_starts_anew(child: Child, broker: Broker) -> None:
    child.apps["one"] = {**child.app("one", **{"class": "presence_app:Present"}), "presence-grace": 60}
    await child.start()

    async def enter(page: Page, user: int) -> None:
        await log_in(page, child, "one", user)
        await page.send(type="subscribe", channel="room:1")
        await page.receive("joined")

    async def who(page: Page) -> Any:
        await page.send(type="who", room="room:1", id="who")
        return (await page.receive("reply", id="who"))["data"]

    async with child.node.page() as ada, child.node.page() as ben:
        await enter(ada, 1)
        await enter(ben, 2)
        child.apps["one"]["anything"] = "else"
        child.write()
        assert await ada.closed() == await ben.closed() == 4005
        async with child.node.page() as again:
            await enter(again, 1)
            await child.changed()
            assert await who(again) == [1, 2]  # Ben has his grace
            async with child.node.page() as back:
                await enter(back, 2)
                assert await who(back) == [1, 2]
            assert [m for m in again.messages if m["type"] == "presence"] == []
    assert await broker.client.lrange(broker.keys.app("one").own("offline"), 0, -1) == []


async def test_what_cannot_be_served_changes_nothing(child: Child) -> None:
    await child.start()
    async with child.node.page() as page:
        await log_in(page, child, "one")
        child.apps["one"]["greeting"] = "never"
        child.apps["two"]["class"] = "reread_app:Nothing"
        child.apps["three"] = {"class": "reread_app:Looking"}
        child.write()
        [line] = await eventually(lambda: child.said("the apps stay as they were"))
        assert line["mistakes"] == 2
        assert child.said("apps.two.class: the module reread_app has no Nothing; it has Looking")
        assert child.said("apps.three: no login can be checked")
        del child.apps["three"]
        child.apps["two"] = child.app("two", broken=True)
        child.write()
        await eventually(lambda: child.said("apps.two: on_server_start failed: RuntimeError: cannot start like this"))
        assert await look(page) == ["hello", False]
        child.more["ws"]["ping-interval"] = 7
        child.apps = {"one": child.app("one"), "two": child.app("two")}
        child.write()
        [line] = await eventually(lambda: child.said("needs a restart"))
        assert line["setting"] == "ws.ping-interval"
        assert await look(page) == ["hello", False]


async def test_a_change_while_redis_is_away_is_made_when_it_is_back(
    own_valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    child = Child(tmp_path, own_valkey, prefix)
    del child.apps["two"]
    await child.start()
    try:
        async with child.node.page() as first:
            await log_in(first, child, "one")
            own_valkey.kill()
            child.apps["two"] = child.app("two", greeting="hi")
            child.write()
            await eventually(lambda: child.said("bus connection lost"), what="the node to notice")
            own_valkey.start()
            assert (await child.changed())["added"] == ["two"]
            async with child.node.page() as second:
                await log_in(second, child, "two")
                assert await look(second) == ["hi", False]
            assert await look(first) == ["hello", False]
    finally:
        child.process.kill()
        child.process.wait()
