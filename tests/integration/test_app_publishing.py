"""What apps publish reaches the right Redis channel, encoded once, from any process."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app_mesh import Link, bound, listen, make_settings, open_mesh
from mini_apps import App, Client, Send, User
from mini_apps.embedded import EmbeddedValkey
from mini_apps.mesh import Mesh
from shared.broker import BrokerUnavailable
from shared.bus_frames import AdminChanged, Disconnect, Join, Leave, Message
from support import eventually


@pytest.fixture
async def mesh(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Mesh]:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"admins": [7], "banned": [13]})
    async with open_mesh(settings) as opened:
        yield opened


@pytest.fixture
async def app(mesh: Mesh) -> App:
    return await bound(App, mesh, "counter")


async def published(app: App, mesh: Mesh, channel: str, *calls: Any) -> list[Any]:
    """Make calls in another process and return what is heard in this one."""
    heard = await listen(mesh, channel)
    async with open_mesh(mesh.settings, "other", "cli") as other_mesh:
        other = App(mesh.settings.apps["counter"], "counter")
        other.bind(other_mesh)
        for call in calls:
            await call(other)
        await eventually(lambda: len(heard) >= len(calls), what="every message")
    return heard


async def test_broadcast_leaves_out_whom_it_should(app: App, mesh: Mesh) -> None:
    client = Client("abc", app, Link())
    heard = await published(
        app,
        mesh,
        app.keys.everyone(),
        lambda a: a.broadcast(type="count", value=1, self=2, telegram_id=3, message=4),
        lambda a: a.broadcast(type="count", value=2, options_=Send(exclude=client)),
    )
    assert json.loads(heard[0].body) == {"type": "count", "value": 1, "self": 2, "telegram_id": 3, "message": 4}
    assert heard[1] == Message(b'{"type":"count","value":2}', exclude="abc")


async def test_a_message_to_one_user(app: App, mesh: Mesh) -> None:
    heard = await published(app, mesh, app.keys.user(1001), lambda a: a.send_to_user(1001, type="hi", telegram_id=5))
    assert heard == [Message(b'{"type":"hi","telegram_id":5}')]


async def test_a_channel_message_carries_its_channel(app: App, mesh: Mesh) -> None:
    heard = await published(app, mesh, app.keys.channel("game:42"), lambda a: a.publish("game:42", type="move", x=1))
    assert json.loads(heard[0].body) == {"type": "move", "x": 1, "channel": "game:42"}


async def test_commands_to_a_users_clients(app: App, mesh: Mesh) -> None:
    user = User(telegram_id=1001, name="Ada")
    heard = await published(
        app,
        mesh,
        app.keys.user(1001),
        lambda a: a.subscribe(user, "room"),
        lambda a: a.unsubscribe(1001, "room"),
        lambda a: a.disconnect_user(user, 4600, "moved"),
        lambda a: a.set_admin(1001),
        lambda a: a.set_admin(user, is_admin=False),
        lambda a: a.ban(user),
        lambda a: a.revoke(user),
    )
    assert heard == [
        Join("room"),
        Leave("room", "unsubscribed"),
        Disconnect(4600, "moved"),
        AdminChanged(is_admin=True),
        AdminChanged(is_admin=False),
        Disconnect(4501, "banned"),
        Disconnect(4006, "session ended"),
    ]
    assert await app.redis.smembers(app.keys.banned) == {b"1001"}
    assert await app.redis.exists(app.keys.admins) == 0


async def test_an_admin_of_the_settings_stays_one(app: App, mesh: Mesh) -> None:
    heard = await published(app, mesh, app.keys.user(7), lambda a: a.set_admin(7, is_admin=False))
    assert heard == [AdminChanged(is_admin=True)]


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        ({}, ValueError, "needs a `type`"),
        ({"type": "welcome"}, ValueError, "welcome"),
        ({"type": "error"}, ValueError, "error"),
        ({"type": "x", "offset": 1}, ValueError, "offset"),
        ({"type": "x", "ack": "a"}, ValueError, "ack"),
        ({"type": "x", "channel": "c"}, ValueError, "channel"),
        ({"type": "x", "value": {1, 2}}, TypeError, "no JSON form"),
    ],
)
async def test_bad_messages_are_refused_where_they_are_made(
    app: App, message: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await app.broadcast(**message)
    with pytest.raises(error, match=text):
        await app.send_to_user(1, **message)
    with pytest.raises(ValueError, match="channel name"):
        await app.publish("", type="x")
    with pytest.raises(ValueError, match="channel name"):
        await app.subscribe(1, "x" * 257)


async def test_client_sends_joins_leaves_and_closes(app: App) -> None:
    client = Client("abc", app, link := Link())
    await client.send(type="error", msg="no", self=1)
    await client.join("room")
    await client.join("hall")
    await client.leave("room")
    await client.close(4600, "bye")
    assert link.sent == [{"type": "error", "msg": "no", "self": 1}]
    assert link.channels == {"hall"}
    assert link.closed == (4600, "bye")
    with pytest.raises(ValueError, match="reply"):
        await client.send(type="reply")
    with pytest.raises(ValueError, match="channel name"):
        await client.join("\n")


async def test_own_keys_and_redis(app: App, prefix: str) -> None:
    assert app.key("clicks") == f"{prefix}:counter:own:clicks"
    assert await app.redis.incr(app.key("clicks")) == 1


async def test_without_redis_publishing_and_logins_say_so(
    tmp_path: Path, own_valkey: EmbeddedValkey, prefix: str
) -> None:
    settings = make_settings(tmp_path, own_valkey.url, prefix, counter={})
    async with open_mesh(settings) as mesh:
        app = await bound(App, mesh, "counter")
        own_valkey.kill()
        await eventually(mesh.bus.trouble, what="the loss to be noticed")
        for attempt in (app.broadcast(type="x"), app.ban(1), app.bot_status(), app.learn_telegram_me()):
            with pytest.raises(BrokerUnavailable):
                await attempt
