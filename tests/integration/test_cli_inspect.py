"""`mini-apps inspect`, `top` and `tail` look at two nodes, rooms, waiting updates, calls and dead letters."""

import asyncio
import contextlib
import json
import os
import pty
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dev_support import environment, run
from mini_apps.cli.inspect import calls, channels, keys, nodes, tail, top
from mini_apps.cli.inspect.looking import Look, nothing_here
from mini_apps.cli.inspect.tail import Ask, Filter
from mini_apps.cli.problem import Problem
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, RunningNode
from shared import bus_frames, trace
from shared.broker import Broker
from shared.bus import Bus
from shared.calls import CallEntry, CallQueue, CallResult, pack_result
from shared.inbox import answer
from shared.settings import Settings, load
from shared.updates import UpdateLog
from support import TOKEN, eventually

LANES = 4


class Deployment:
    """Two nodes of a chat, four lanes that nobody works off, and a way to look."""

    def __init__(self, broker: Broker, bus: Bus, settings: Settings, one: RunningNode, two: RunningNode) -> None:
        self.broker, self.bus, self.settings, self.one, self.two = broker, bus, settings, one, two
        self.keys = broker.keys.app("chat")

    async def look(self, look: Look, capsys: Any) -> str:
        capsys.readouterr()
        await look(self.broker, self.settings)
        return str(capsys.readouterr().out)

    async def json(self, look: Look, capsys: Any) -> Any:
        return json.loads(await self.look(look, capsys))

    async def feed(self, number: int, text: str) -> None:
        sender = {"id": 7, "is_bot": False, "first_name": "Eve"}
        message = {"message_id": 1, "date": 0, "chat": {"id": 7, "type": "private"}, "from": sender, "text": text}
        await UpdateLog(self.broker, self.bus, LANES).append(
            "chat", {"update_id": number, "message": message}, "webhook"
        )


@pytest.fixture
async def deployed(valkey: EmbeddedValkey, broker: Broker, prefix: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    cluster = Cluster(tmp_path, valkey.url, prefix, APPS__CHAT__CLASS="presence_app:Present", BOT__LANES=str(LANES))
    settings = load(None, {f"MINI_APPS__{name}": value for name, value in cluster.settings.items()})
    try:
        one, two = await cluster.node("ws-1"), await cluster.node("ws-2")
        async with Bus(broker, "looker") as bus:
            await broker.client.set(broker.keys.app("chat").lanes, LANES)
            yield Deployment(broker, bus, settings, one, two)
    finally:
        await cluster.aclose()


async def test_processes_rooms_and_keys_are_shown(deployed: Deployment, capsys: Any) -> None:
    async with deployed.one.user(1) as page, deployed.two.user(2) as other:
        for who in (page, other):
            await who.send(type="subscribe", channel="room:1", id=1)
            await who.receive("joined")
        found = await deployed.json(nodes.showing(as_json=True), capsys)

        async def counted() -> bool:  # the register is written three times a lease
            shown = await deployed.json(nodes.showing(as_json=True), capsys)
            return [node["connections"] for node in shown["nodes"]] == [1, 1]

        assert [(node["id"], node["kind"], node["draining"]) for node in found["nodes"]] == [
            ("ws-1", "ws", False),
            ("ws-2", "ws", False),
        ]
        await eventually(counted)
        heads, *rows = (await deployed.look(nodes.showing(as_json=False), capsys)).splitlines()
        assert heads.split()[:5] == ["node", "kind", "state", "clients", "in/s"]
        assert [row.split()[:4] for row in rows] == [["ws-1", "ws", "up", "1/50,000"], ["ws-2", "ws", "up", "1/50,000"]]

        shown = await deployed.json(channels.channels("", "room:*", 10, as_json=True), capsys)
        assert [(one["channel"], one["nodes"], one["present"]) for one in shown["channels"]] == [("room:1", 2, 2)]
        assert "nobody hears a channel like other:*" in await deployed.look(
            channels.channels("", "other:*", 10, as_json=False), capsys
        )
        present = await deployed.json(channels.presence("", "room:1", 10, as_json=True), capsys)
        assert sorted((one["user"], one["name"], one["nodes"]) for one in present["users"]) == [
            (1, "User 1", "ws-1"),
            (2, "User 2", "ws-2"),
        ]
        listed = await deployed.look(channels.presence("", "", 10, as_json=False), capsys)
        assert ["chat", "room:1", "2"] in [line.split() for line in listed.splitlines()]

        kinds = {
            one["family"]: one
            for one in (await deployed.json(keys.showing("", 10_000, as_json=True), capsys))["families"]
        }
        prefix = deployed.broker.settings.prefix
        assert kinds[f"{prefix}:_:node:NODE"]["keys"] == 2
        assert 0 < kinds[f"{prefix}:_:node:NODE"]["longest_ttl"] <= deployed.broker.lease_seconds
        assert kinds[f"{prefix}:APP:presence:{{H}}:NAME"]["size"] == 2
        few = await deployed.look(keys.showing("", 1, as_json=False), capsys)
        assert "only 1 keys were looked at" in few
        one = await deployed.look(keys.showing("_:node:*", 10, as_json=False), capsys)
        assert {line.split()[0] for line in one.splitlines()[1:]} == {f"{prefix}:_:node:ws-1", f"{prefix}:_:node:ws-2"}


async def test_what_waits_is_shown(deployed: Deployment, capsys: Any) -> None:
    for number in range(3):
        await deployed.feed(100 + number, "confidential words")
    queue = CallQueue(deployed.bus, deployed.keys)
    fields = {"chat_id": "42", "text": "more confidential words"}
    await queue.submit(CallEntry("c1", "sendMessage", fields, node="ws-1", trace="m-7"), 60)
    await deployed.broker.client.xadd(deployed.keys.dead, {"id": 1, "reason": "boom"})

    (waiting,) = (await deployed.json(calls.showing("", 5, as_json=True), capsys))["apps"]
    assert waiting["streams"]["now"]["waiting"] == 1
    (call,) = waiting["oldest"]
    assert (call["method"], call["chat"], call["asker"], call["trace"]) == ("sendMessage", "42", "ws-1", "m-7")
    assert 0 < call["left"] <= 60
    assert "confidential" not in await deployed.look(calls.showing("", 5, as_json=False), capsys)

    found = await deployed.json(top.showing("", 1.0, once=True, as_json=True), capsys)
    chat = found["apps"]["chat"]
    assert (chat["waiting"], chat["lag"], chat["dead"], chat["calls"]["now"]["waiting"]) == (3, 3, 1, 1)
    assert chat["bot"]["status"] == "disconnected"
    assert [node["id"] for node in found["nodes"]] == ["ws-1", "ws-2"]
    text = await deployed.look(top.showing("", 1.0, once=True, as_json=False), capsys)
    (row,) = (line.split() for line in text.splitlines() if line.startswith("chat  ") and "disconnected" in line)
    assert row[:4] == ["chat", "disconnected", "3", "3"]
    assert any("nobody" in line for line in text.splitlines())  # who has the lane


def told(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@contextlib.asynccontextmanager
async def tailing(deployed: Deployment, found: Filter, limit: int, *, bodies: bool = False) -> AsyncIterator[None]:
    """Let `tail` run beside the block until it has shown what it is to show."""
    ask = Ask("", found, bodies, limit, 120.0, as_json=True)
    before = await deployed.broker.client.pubsub_numpat()
    task = asyncio.create_task(tail.showing(ask)(deployed.broker, deployed.settings))

    async def listens() -> bool:
        return bool(await deployed.broker.client.pubsub_numpat() > before)

    await eventually(listens)
    try:
        yield
        await asyncio.wait_for(task, 300)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_passes_is_decoded_chosen_and_hides_what_people_wrote(deployed: Deployment, capsys: Any) -> None:
    async with deployed.one.user(1) as page:
        await page.send(type="subscribe", channel="room:1", id=1)
        await page.receive("joined")
        async with tailing(deployed, Filter(kinds=("message", "update", "call", "result")), 5):
            with trace.bound("m-1"):
                secret = {"type": "said", "text": "confidential words", "token": "abcdef"}
                frame = bus_frames.pack(bus_frames.Message(json.dumps(secret).encode()))
                await deployed.bus.publish(deployed.keys.channel("room:1"), frame)
                await deployed.bus.publish(deployed.keys.user(1), frame)
            await deployed.feed(300, "confidential words")
            queue = CallQueue(deployed.bus, deployed.keys)
            entry = CallEntry("c9", "sendMessage", {"chat_id": "7", "text": "confidential"}, node="ws-1", trace="m-1")
            await queue.submit(entry, 60)
            await asyncio.sleep(0)
            await eventually(lambda: "sendMessage" in _so_far(capsys))
            await answer(
                deployed.bus, deployed.broker.keys, "ws-1", "c9", pack_result(CallResult("answered", 200, b"{}"))
            )
    found = told(_so_far(capsys))
    assert {one["kind"] for one in found} == {"message", "update", "call", "result"}
    assert "confidential" not in json.dumps(found)
    by_place = {one["where"]: one for one in found}
    assert by_place["room:1"]["body"] == {"type": "said", "text": "…18", "token": "***"}
    assert (by_place["room:1"]["channel"], by_place["room:1"]["trace"]) == ("room:1", "m-1")
    assert by_place["user 1"]["user"] == 1
    (update,) = (one for one in found if one["kind"] == "update")
    assert (update["user"], update["trace"], update["what"]) == (7, "update-300", "message from 7 by webhook")
    (result,) = (one for one in found if one["kind"] == "result")
    assert (result["app"], result["trace"], result["what"], result["user"]) == ("chat", "m-1", "answered 200", 7)


_lines: list[str] = []


def _so_far(capsys: Any) -> str:
    _lines.append(capsys.readouterr().out)
    return "".join(_lines)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _lines.clear()


async def test_tail_shows_bodies_where_asked_and_only_what_is_chosen(deployed: Deployment, capsys: Any) -> None:
    async with tailing(deployed, Filter(channel="room:*", trace="m-2"), 1, bodies=True):
        for channel, name in (("other:1", "m-2"), ("room:7", "m-1"), ("room:7", "m-2")):
            with trace.bound(name):
                frame = bus_frames.pack(bus_frames.Message(b'{"type":"said","text":"aloud","session":"abcdef"}'))
                await deployed.bus.publish(deployed.keys.channel(channel), frame)
    (one,) = told(_so_far(capsys))
    assert (one["channel"], one["trace"]) == ("room:7", "m-2")
    assert one["body"] == {"type": "said", "text": "aloud", "session": "***"}


async def test_a_wrong_prefix_and_another_deployment_are_named(deployed: Deployment, prefix: str) -> None:
    other = deployed.settings.redis.model_copy(update={"prefix": "nobody"})
    async with Broker(other) as elsewhere:
        said = await nothing_here(elsewhere)
        assert said.startswith("nothing runs under the prefix 'nobody' of the Redis at 127.0.0.1")
        with pytest.raises(Problem, match="nothing runs under"):
            await nodes.showing(as_json=False)(elsewhere, deployed.settings)
        with pytest.raises(Problem, match="nothing runs under"):
            await top.showing("", 1.0, once=True, as_json=False)(elsewhere, deployed.settings)
    with pytest.raises(Problem, match="there is no key"):
        await keys.showing("own:*", 10, as_json=False)(deployed.broker, deployed.settings)
    with pytest.raises(Problem, match="there is no app 'none'"):
        await channels.channels("none", "*", 10, as_json=False)(deployed.broker, deployed.settings)
    with pytest.raises(Problem, match="there is no kind 'mesage'"):
        tail.kinds_of(["mesages"])


def settings_file(deployed: Deployment, folder: Path) -> Path:
    redis = {"url": deployed.settings.redis.url.get_secret_value(), "prefix": deployed.broker.settings.prefix}
    found = {"redis": redis, "bot": {"lanes": LANES}, "apps": {"chat": {"bot-token": TOKEN}}}
    (folder / "settings.json").write_text(json.dumps(found))
    return folder / "settings.json"


async def test_top_lives_in_a_terminal_until_q(deployed: Deployment, tmp_path: Path) -> None:
    file = settings_file(deployed, tmp_path)
    main, side = pty.openpty()
    env = {**environment(tmp_path), "PYTHONPATH": "", "TERM": "xterm-256color", "COLUMNS": "70", "LINES": "20"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mini_apps", "top"),
        *("--settings", str(file), "--every", "0.2"),
        stdin=side,
        stdout=side,
        stderr=side,
        env=env,
        cwd=tmp_path,
    )
    os.close(side)
    seen = bytearray()
    asyncio.get_running_loop().add_reader(main, lambda: seen.extend(_read(main)))
    try:
        await eventually(lambda: b"q quits" in seen and b"ws-2" in seen, seconds=300, what="the screen")
        os.write(main, b" ")
        await eventually(lambda: b"paused" in seen, what="a pause")
        os.write(main, b"q")
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await eventually(lambda: b"\x1b[?1049l" in seen, what="the terminal as it was")
    finally:
        asyncio.get_running_loop().remove_reader(main)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(main)


def _read(handle: int) -> bytes:
    with contextlib.suppress(OSError):  # how a terminal whose program ended reads
        return os.read(handle, 65536)
    return b""


async def test_the_words_of_the_command_line(deployed: Deployment, tmp_path: Path) -> None:
    more = ("--settings", str(settings_file(deployed, tmp_path)))
    env = {**environment(tmp_path), "PYTHONPATH": ""}
    shown = await asyncio.to_thread(run, "inspect", "lanes", "--json", *more, cwd=tmp_path, env=env)
    assert len(json.loads(shown.stdout)["each"]) == LANES + 1, shown.stderr
    began = time.monotonic()
    ended = await asyncio.to_thread(run, "tail", "--seconds", "0.2", *more, cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert time.monotonic() - began >= 0.2
