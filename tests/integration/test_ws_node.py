"""Two real nodes over a real Valkey, spoken to by clients that know only the protocol page."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import msgpack
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, Page, RunningNode
from shared.broker import Broker
from support import TOKEN, eventually


@pytest.fixture
async def cluster(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield cluster
    await cluster.aclose()


@pytest.fixture
async def one(cluster: Cluster) -> RunningNode:
    return await cluster.node("ws-1")


@pytest.fixture
async def two(cluster: Cluster, one: RunningNode) -> RunningNode:
    return await cluster.node("ws-2")


async def test_the_shortest_conversation(one: RunningNode) -> None:
    async with connect(one.url) as socket:
        assert json.loads(await socket.recv()) == {
            "type": "connect", "protocol": 1, "node": "ws-1", "ping": 25.0, "timeout": 10.0,
        }  # fmt: skip
        data = sign_init_data(TOKEN, user={"id": 1001, "first_name": "Ada"})
        await socket.send(json.dumps({"type": "login", "app": "chat", "data": data}))
        welcome = json.loads(await socket.recv())
        assert (welcome["type"], welcome["telegram_id"], welcome["name"]) == ("welcome", 1001, "Ada")
        assert welcome["is_admin"] is False
        assert json.loads(await socket.recv()) == {"type": "hello", "clients": 1}
        await socket.send(json.dumps({"type": "click", "app": "chat"}))
        assert json.loads(await socket.recv()) == {"type": "clicks", "clicks": 1}


async def test_an_app_without_a_welcome_of_its_own_still_counts_its_messages_from_one(cluster: Cluster) -> None:
    node = await cluster.node(APPS__CHAT__CLASS="plain_app:Plain")
    async with node.page() as page:
        await page.send(type="login", app="chat", data=sign_init_data(TOKEN, user={"id": 1, "first_name": "A"}))
        await page.send(type="early", id=1)
        assert (await page.receive("welcome"))["name"] == "A"
        assert (await page.receive("reply", id=1))["data"].endswith("-1")
        await page.send(type="late", id=2)
        assert (await page.receive("reply", id=2))["data"].endswith("-2")


async def test_a_click_on_one_node_is_seen_on_the_other(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben:
        await ada.send(type="click")
        assert (await ben.receive("clicks"))["clicks"] == 1
        assert (await ada.receive("clicks"))["clicks"] == 1


async def test_a_thousand_concurrent_clicks_on_two_nodes_reach_every_page(
    cluster: Cluster, one: RunningNode, two: RunningNode
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        users = [node.user(1000 + number) for number in range(5) for node in (one, two)]
        pages = [await stack.enter_async_context(user) for user in users]
        await asyncio.gather(*(page.send(type="click") for page in pages for _ in range(100)))
        for page in pages:
            await eventually(lambda page=page: len(_counts(page)) == 1000, what="1,000 counts")
            assert sorted(_counts(page)) == list(range(1, 1001))


def _counts(page: Page) -> list[int]:
    return [message["clicks"] for message in page.messages if message["type"] == "clicks"]


async def test_messages_to_a_user_reach_all_pages_of_that_user_only(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben, one.user(1002) as ben_too, two.user(1003) as eve:
        await ada.send(type="whisper", to=1002, text="hi")
        assert (await ben.receive("whispered"))["text"] == "hi"
        assert (await ben_too.receive("whispered"))["text"] == "hi"
        assert "whispered" not in [message["type"] for message in await eve.settle()]


async def test_channels_across_nodes(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben, two.user(1003) as eve:
        for page in (ada, ben):
            await page.send(type="join", room="game:ü 42")
            assert await page.receive("joined") == {"type": "joined", "channel": "game:ü 42"}
        await ada.send(type="say", room="game:ü 42", text="one", id=1)
        await ada.send(type="say", room="game:ü 42", text="two", id=2)
        assert await ben.receive("said") == {"type": "said", "text": "one", "channel": "game:ü 42"}
        assert (await ben.receive("said"))["text"] == "two"
        assert "said" not in [message["type"] for message in await eve.settle()]
        await ada.receive("reply", id=2)
        assert "said" not in [message["type"] for message in await ada.settle()], "the sender was excluded"
        await ben.send(type="leave", room="game:ü 42")
        assert (await ben.receive("left"))["channel"] == "game:ü 42"
        await ada.send(type="say", room="game:ü 42", text="three", id=3)
        await ada.receive("reply", id=3)
        assert "said" not in [message["type"] for message in await ben.settle()]


async def test_the_app_decides_who_subscribes(one: RunningNode) -> None:
    async with one.user() as page:
        await page.send(type="subscribe", channel="open:a", id=1)
        assert await page.receive("joined") == {"type": "joined", "channel": "open:a", "id": 1}
        await page.send(type="subscribe", channel="closed:a", id=2)
        assert (await page.receive("error", id=2))["code"] == "refused"
        await page.send(type="subscribe", channel="x" * 300, id=3)
        assert (await page.receive("error", id=3))["code"] == "limit"
        await page.send(type="unsubscribe", channel="open:a")
        assert (await page.receive("left"))["channel"] == "open:a"


async def test_a_client_may_be_in_so_many_channels(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__CHANNELS_PER_CLIENT="2")
    async with node.user() as page:
        for number in range(3):
            await page.send(type="subscribe", channel=f"open:{number}", id=number)
        assert (await page.receive("error", id=2))["code"] == "limit"


async def test_another_process_brings_a_user_in_and_out(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben:
        await ada.send(type="summon", user=1002, room="vip")
        assert (await ben.receive("joined"))["channel"] == "vip"
        await ada.send(type="dismiss", user=1002, room="vip")
        assert (await ben.receive("left"))["channel"] == "vip"


async def test_replies_and_errors_belong_to_their_ids(one: RunningNode) -> None:
    async with one.user() as page:
        await page.send(type="echo", value=[1, "ü"], id="a")
        assert await page.receive("reply") == {"type": "reply", "id": "a", "data": [1, "ü"]}
        await page.send(type="wrong", id=1)
        wrong = await page.receive("error")
        assert wrong.pop("trace")
        assert wrong == {"type": "error", "id": 1, "msg": "Not like this", "code": "wrong"}
        for kind in ("bug", "unsendable", "reserved"):
            await page.send(type=kind, id=kind)
            error = await page.receive("error", id=kind)
            assert (error["msg"], error["code"]) == ("Internal server error", "internal")
            assert error["trace"]
        await page.send(type="echo", value="still here", id=9)
        assert (await page.receive("reply", id=9))["data"] == "still here"


async def test_messages_of_one_client_run_in_order_and_do_not_hold_up_others(one: RunningNode) -> None:
    async with one.user(1001) as ada, one.user(1002) as ben:
        await ada.send(type="slow")
        await ada.send(type="echo", value="behind", id=1)
        await ben.send(type="echo", value="free", id=1)
        assert (await ben.receive("reply"))["data"] == "free"
        assert [message for message in ada.messages if message["type"] == "reply"] == []


async def test_a_handler_that_never_returns_is_cut_off(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__HANDLER_TIMEOUT="0.2")
    async with node.user() as page:
        await page.send(type="slow", id=1)
        await page.send(type="echo", value="next", id=2)
        assert (await page.receive("error", id=1))["code"] == "internal"
        assert (await page.receive("reply", id=2))["data"] == "next"


async def test_a_flood_in_a_handlers_queue_is_held_back_and_loses_nothing(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__CLIENT_QUEUE="8", WS__MESSAGES_PER_SECOND="0")
    async with node.user() as page:
        for number in range(2000):
            await page.send(type="echo", value=number, id=number)
        await page.receive("reply", id=1999)
        assert [m["id"] for m in page.messages if m["type"] == "reply"] == list(range(1999))


async def test_what_is_sent_during_login_waits_for_the_welcome(one: RunningNode) -> None:
    async with one.page() as page:
        data = sign_init_data(TOKEN, user={"id": 5, "first_name": "Quick"})
        await page.send(type="login", app="chat", data=data)
        await page.send(type="echo", value="early", id=1)
        await page.receive("reply", id=1)
        await page.receive("welcome")


async def test_msgpack_clients_speak_with_json_clients(one: RunningNode, two: RunningNode) -> None:
    async with connect(one.url, subprotocols=["mini-apps.msgpack"]) as socket, two.user(1002) as ben:
        assert msgpack.unpackb(await socket.recv())["type"] == "connect"
        data = sign_init_data(TOKEN, user={"id": 1, "first_name": "Binary"})
        await socket.send(msgpack.packb({"type": "login", "app": "chat", "data": data}))
        assert msgpack.unpackb(await socket.recv())["type"] == "welcome"
        assert msgpack.unpackb(await socket.recv())["type"] == "hello"
        await socket.send(msgpack.packb({"type": "click"}))
        assert msgpack.unpackb(await socket.recv()) == {"type": "clicks", "clicks": 1}
        assert (await ben.receive("clicks"))["clicks"] == 1


async def test_a_session_token_logs_in_again_on_another_node(one: RunningNode, two: RunningNode) -> None:
    async with one.page() as page:
        token = (await page.login(1001))["session"]
    async with two.page() as page:
        await page.send(type="login", app="chat", session=token, channels={"open:a": {}, "closed:b": {}})
        welcome = await page.receive("welcome")
        assert welcome["telegram_id"] == 1001
        assert welcome["channels"] == {"open:a": {"recovered": False, "reason": "unknown position"}}
        await page.send(type="say", room="open:a", text="x")
        await page.send(type="whisper", to=1001, text="me")
        await page.receive("whispered")


async def test_closing_one_of_two_tabs_keeps_the_other(one: RunningNode, broker: Broker) -> None:
    async with one.user(1001) as first:
        async with one.user(1001):
            pass
        gone = broker.keys.app("chat").own("gone")
        await eventually(lambda: broker.client.llen(gone), what="on_client_disconnected")
        await first.send(type="whisper", to=1001, text="still")
        assert (await first.receive("whispered"))["text"] == "still"
        assert await broker.client.llen(gone) == 1


async def test_the_newest_connection_of_a_user_wins(cluster: Cluster) -> None:
    node = await cluster.node("ws-9", WS__MAX_CONNECTIONS_PER_USER="2")
    async with node.user(7) as first, node.user(7) as second, node.user(7) as third:
        assert (await first.receive("disconnect"))["code"] == 4502
        assert await first.closed() == 4502
        for page in (second, third):
            await page.send(type="echo", value=1, id=1)
            await page.receive("reply", id=1)


async def test_ban_and_kick_work_across_nodes(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben, two.user(1003) as eve:
        await ada.send(type="ban", user=1002)
        assert (await ben.receive("disconnect")) == {"type": "disconnect", "code": 4501, "reason": "banned"}
        assert await ben.closed() == 4501
        await ada.send(type="kick", user=1003)
        await eve.closed()
    async with one.page() as again:
        data = sign_init_data(TOKEN, user={"id": 1002, "first_name": "Ben"})
        await again.send(type="login", app="chat", data=data)
        assert (await again.receive("disconnect"))["code"] == 4501


async def test_draining_sends_clients_away_with_a_time_to_come_back(one: RunningNode, two: RunningNode) -> None:
    async with one.user(1001) as ada, two.user(1002) as ben:
        await one.stop()
        goodbye = await ada.receive("reconnect")
        assert (goodbye["code"], goodbye["reason"]) == (4005, "draining")
        assert goodbye["retry_after"] > 0
        assert await ada.closed() == 4005
        await ben.send(type="click")
        await ben.receive("clicks")


async def test_health_answers_on_the_same_port(one: RunningNode) -> None:
    def get(path: str) -> tuple[int, bytes]:
        with urlopen(one.url.replace("ws://", "http://").replace("/ws", path)) as response:
            return response.status, response.read()

    for path, part in (("/healthz", b'"ok"'), ("/readyz", b'"ready"'), ("/metrics", b"mini_apps_ws_connections")):
        status, body = await asyncio.to_thread(get, path)
        assert status == 200
        assert part in body


async def test_the_wrong_path_or_subprotocol_is_an_http_status(one: RunningNode) -> None:
    for options in ({"uri": one.url + "x"}, {"uri": one.url, "subprotocols": ["chat"]}):
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(**options):
                pass
        assert refusal.value.response.status_code == (404 if "subprotocols" not in options else 400)
