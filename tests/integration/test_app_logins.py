"""Logins: the order of refusals, live bans and admins, sessions, the fake user."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import DataError

from app_mesh import Link, bound, make_settings, open_mesh
from mini_apps import App, Client, LoginRefused, User, UserFilter
from mini_apps.bot_status import BotStatus, TelegramMe, write_me, write_status
from mini_apps.client import Peer
from mini_apps.embedded import EmbeddedValkey
from mini_apps.mesh import Mesh
from mini_apps.testing import sign_init_data
from shared.nodes import Node, Registration
from support import TOKEN

ADA = {"id": 1001, "first_name": "Ada", "last_name": "Lovelace"}
NEAR = Peer("127.0.0.1")


@pytest.fixture
async def mesh(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Mesh]:
    settings = make_settings(
        tmp_path, valkey.url, prefix, counter={"admins": [7], "banned": [13]}, faked={"fake-user": ADA}
    )
    async with open_mesh(settings) as opened:
        yield opened


@pytest.fixture
async def app(mesh: Mesh) -> App:
    return await bound(App, mesh, "counter")


def new_client(app: App, peer: Peer | None = NEAR, id_: str = "c1") -> Client:
    return Client(id_, app, Link(), peer)


def launch(user: dict[str, Any] = ADA, token: str = TOKEN, **fields: Any) -> dict[str, Any]:
    return {"type": "login", "app": "counter", "data": sign_init_data(token, user=user, **fields)}


async def refusal(app: App, message: dict[str, Any]) -> tuple[str, int]:
    client = new_client(app)
    with pytest.raises(LoginRefused) as caught:
        await app.login(client, message)
    assert client.user is None
    assert app.clients == {}
    return caught.value.reason, int(caught.value.code)


async def test_login_sets_user_and_registers_the_client(app: App) -> None:
    client = new_client(app)
    await app.login(client, launch(start_param="ref_42", chat_instance="99"))
    user = client.user
    assert (user.telegram_id, user.name, user.is_admin) == (1001, "Ada Lovelace", False)
    assert user.telegram_data["start_param"] == "ref_42"
    assert user.telegram_data["user"] == ADA
    assert user.to_json() == {"telegram_id": 1001, "name": "Ada Lovelace", "is_admin": False}
    assert app.clients == {"c1": client}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (launch(token="42:other"), "hash"),
        (launch(auth_date=int(time.time()) - 90_000), "expired"),
        (launch(auth_date=int(time.time()) + 600), "future"),
        ({"data": ""}, "format"),
        ({}, "format"),
        ({"data": sign_init_data(TOKEN, chat_instance="1")}, "user"),
        ({"session": "no token"}, "session"),
    ],
)
async def test_refusals_carry_their_reason(app: App, message: dict[str, Any], reason: str) -> None:
    assert await refusal(app, message) == (reason, 4500)


async def test_an_override_of_decode_keeps_the_reason_or_says_refused(mesh: Mesh) -> None:
    class Strict(App):
        def decode_telegram_data(self, data: str) -> dict[str, Any] | None:
            decoded = super().decode_telegram_data(data)
            return decoded if decoded and decoded.get("start_param") == "vip" else None

    app = await bound(Strict, mesh, "counter")
    assert await refusal(app, launch(token="42:other")) == ("hash", 4500)
    assert await refusal(app, launch()) == ("refused", 4500)
    await app.login(new_client(app), launch(start_param="vip"))


async def test_an_override_of_get_user_may_refuse_with_none_and_cannot_bypass_a_ban(mesh: Mesh) -> None:
    class Own(App):
        def get_user(self, message: dict[str, Any]) -> Any:
            return User(telegram_id=message["who"], name="own", is_admin=False) if "who" in message else None

    app = await bound(Own, mesh, "counter")
    client = new_client(app)
    await app.login(client, {})
    assert client.user is None
    assert app.clients == {}
    assert await refusal(app, {"who": 13}) == ("banned", 4501)
    await app.ban(5)
    assert await refusal(app, {"who": 5}) == ("banned", 4501)
    await app.login(client, {"who": 6})
    assert client.user.telegram_id == 6


async def test_settings_lists_and_live_sets_are_evaluated_at_each_login(app: App) -> None:
    assert await refusal(app, launch({"id": 13, "first_name": "Mallory"})) == ("banned", 4501)
    await app.login(admin := new_client(app), launch({"id": 7, "first_name": "Root"}))
    assert admin.user.is_admin
    await app.disconnect(admin)

    await app.login(first := new_client(app), launch())
    assert not first.user.is_admin
    await app.set_admin(first.user)
    await app.login(second := new_client(app), launch())
    assert second.user.is_admin
    await app.set_admin(1001, is_admin=False)
    await app.login(third := new_client(app), launch())
    assert not third.user.is_admin

    app.clients.clear()
    await app.ban(1001)
    assert await refusal(app, launch()) == ("banned", 4501)
    await app.unban(1001)
    await app.login(new_client(app), launch())


async def test_a_filter_of_the_authors_own_decides(app: App) -> None:
    class Evens(UserFilter):
        def filter_user(self, user: Any) -> Any:
            return user if user.telegram_id % 2 == 0 else None

    app.user_filter = Evens()
    assert await refusal(app, launch()) == ("banned", 4501)
    await app.ban(1002)
    assert await refusal(app, launch({"id": 1002})) == ("banned", 4501)
    await app.login(new_client(app), launch({"id": 1004}))


async def test_a_ban_between_login_and_subscription_is_found_by_the_second_look(app: App) -> None:
    client = new_client(app)
    await app.login(client, launch())
    await app.recheck_login(client)
    await app.ban(1001)
    with pytest.raises(LoginRefused) as caught:
        await app.recheck_login(client)
    assert caught.value.code == 4501


async def test_a_session_that_ends_between_login_and_subscription_is_found_by_the_second_look(app: App) -> None:
    await app.login(client := new_client(app), launch())
    token, _ = app.seal_session(client.user, time.time() - 1)
    await app.login(back := new_client(app), {"session": token})
    await app.recheck_login(back)
    await app.revoke(1001)
    await app.recheck_login(client)  # it showed init data
    with pytest.raises(LoginRefused) as caught:
        await app.recheck_login(back)
    assert (caught.value.reason, caught.value.code) == ("session", 4500)


@pytest.mark.parametrize(("longest", "ttl", "expected"), [(7200, 60, 7200), (0, 60, 60), (0, 0, -1)])
async def test_a_revoke_is_remembered_as_long_as_a_token_may_live(
    app: App, longest: int, ttl: int, expected: int
) -> None:
    app.use_settings(app.settings.model_copy(update={"session_max_age": longest, "session_ttl": ttl}))
    await app.revoke(1001)
    assert await app.redis.ttl(app.keys.valid_after(1001)) == pytest.approx(expected, abs=30)


async def test_an_admin_who_is_one_no_more_at_the_second_look_stays_none(app: App) -> None:
    await app.set_admin(1001)
    await app.login(client := new_client(app), launch())
    await app.recheck_login(client)
    assert client.user.is_admin
    await app.set_admin(1001, is_admin=False)
    await app.recheck_login(client)
    assert not client.user.is_admin


async def test_an_admin_by_the_row_who_is_one_no_more_at_the_second_look_stays_none(app: App) -> None:
    await app.login(client := new_client(app), launch())
    async with app.db() as session:
        user = await session.merge(client.user)
        user.is_admin = True
        await session.commit()
    app.mesh.users._rows.clear()  # or it would be believed for a minute
    await app.login(client := new_client(app), launch())
    await app.recheck_login(client)
    assert client.user.is_admin
    await app.set_admin(1001, is_admin=False)
    await app.recheck_login(client)
    assert not client.user.is_admin


async def test_an_admin_by_the_authors_own_filter_stays_one_at_the_second_look(app: App) -> None:
    class Chosen(UserFilter):
        def filter_user(self, user: Any) -> Any:
            user.is_admin = True
            return user

    app.user_filter = Chosen()
    await app.set_admin(1001)
    await app.login(client := new_client(app), launch())
    await app.set_admin(1001, is_admin=False)
    await app.recheck_login(client)
    assert client.user.is_admin


async def test_what_a_client_heard_counts_more_than_the_second_look(app: App) -> None:
    await app.set_admin(1001)
    await app.login(client := new_client(app), launch())
    await app.set_admin(1001, is_admin=False)
    client.marked_admin = None  # as after news that it is an admin again, which came before the look's answer
    await app.recheck_login(client)
    assert client.user.is_admin


async def test_a_session_token_brings_the_same_user_back(app: App) -> None:
    client = new_client(app)
    await app.login(client, launch(start_param="ref", chat={"id": -5, "type": "group", "title": "T"}))
    now = int(time.time())
    token, expires = app.seal_session(client.user, now)
    assert expires == now + 3600
    again = new_client(app)
    await app.login(again, {"session": token})
    assert again.user.telegram_data == client.user.telegram_data
    assert again.user.id == client.user.id
    later, until = app.seal_session(again.user, now + 3000)
    assert until == now + 6600
    assert app.sessions.open(later, now + 3000).first_login == now, "a renewed token keeps the first login"
    assert token not in repr(again)


async def test_a_ban_voids_tokens_even_after_it_is_taken_back(app: App) -> None:
    await app.login(client := new_client(app), launch())
    token, _ = app.seal_session(client.user, time.time() - 1)
    await app.disconnect(client)
    await app.ban(1001)
    assert await refusal(app, {"session": token}) == ("banned", 4501)
    await app.unban(1001)
    assert await refusal(app, {"session": token}) == ("session", 4500)


async def test_a_token_of_another_app_is_refused(mesh: Mesh, app: App) -> None:
    other = await bound(App, mesh, "faked")
    await app.login(client := new_client(app), launch())
    token, _ = app.seal_session(client.user, time.time())
    assert await refusal(other, {"session": token}) == ("session", 4500)


async def test_the_fake_user_is_for_this_machine_and_pages_without_proof(mesh: Mesh) -> None:
    app = await bound(App, mesh, "faked")
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        await app.login(client := new_client(app, Peer(address)), {"type": "login", "data": ""})
        assert client.user.telegram_id == 1001
    for peer in (Peer("10.0.0.1"), Peer("127.0.0.1", forwarded=True), Peer(""), None):
        with pytest.raises(LoginRefused) as caught:
            await app.login(new_client(app, peer), {"type": "login", "data": ""})
        assert caught.value.reason == "format"
    with pytest.raises(LoginRefused):
        await app.login(new_client(app), launch(token="42:other"))
    with pytest.raises(LoginRefused):
        await app.get_user({"data": "", "fake_user": ADA})


async def test_one_read_a_minute_and_no_write_when_nothing_changed(app: App, mesh: Mesh) -> None:
    statements: list[str] = []
    event.listen(
        mesh.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: statements.append(statement.split()[0]),
    )
    for _ in range(3):
        await app.login(new_client(app), launch())
    assert statements == ["SELECT", "INSERT"]
    await app.login(new_client(app), launch({**ADA, "last_name": "King"}))
    assert statements[2:] == ["UPDATE"]
    async with app.db() as session:
        assert (await session.scalars(select(User.name))).one() == "Ada King"


async def test_lookups_that_come_together_are_few_reads_and_one_that_gives_up_harms_no_other(
    mesh: Mesh, app: App
) -> None:
    async with app.db() as session:
        session.add_all(User(telegram_id=id_, name=f"N{id_}") for id_ in range(5000, 5100))
        await session.commit()
    reads: list[str] = []
    event.listen(
        mesh.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: reads.append(statement),
    )
    lookups = [asyncio.create_task(mesh.users.get(id_)) for id_ in range(5000, 5100)]
    await asyncio.sleep(0)
    lookups[0].cancel()  # the one that asks for all
    found = await asyncio.gather(*lookups, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [user.name for user in found[1:]] == [f"N{id_}" for id_ in range(5001, 5100)]
    assert len(reads) <= 3


async def test_a_database_that_fails_fails_every_lookup_and_the_next_works(mesh: Mesh, app: App) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no database now")

    event.listen(mesh.database.engine.sync_engine, "before_cursor_execute", fail)
    found = await asyncio.gather(*(mesh.users.find(id_) for id_ in range(20)), return_exceptions=True)
    assert all(isinstance(one, RuntimeError) for one in found)
    event.remove(mesh.database.engine.sync_engine, "before_cursor_execute", fail)
    assert (await mesh.users.get(1, "N")).name == "N"


async def test_new_users_who_come_together_are_made_in_one_transaction(mesh: Mesh, app: App) -> None:
    statements: list[str] = []
    event.listen(
        mesh.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: statements.append(statement.split()[0]),
    )
    users = await asyncio.gather(*(mesh.users.get(id_, f"N{id_}") for _ in range(2) for id_ in range(6000, 6050)))
    assert [user.name for user in users] == [f"N{id_}" for _ in range(2) for id_ in range(6000, 6050)]
    assert statements == ["SELECT", "INSERT"]
    assert len({user.id for user in users}) == 50


async def test_one_who_cannot_be_made_keeps_nobody_else_out(mesh: Mesh, app: App) -> None:
    def refuse(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("INSERT") and "cursed" in str(parameters):
            raise DataError(statement, parameters, ValueError("no such name"))

    event.listen(mesh.database.engine.sync_engine, "before_cursor_execute", refuse)
    names = {7000: "Ada", 7001: "cursed", 7002: "Grace"}
    found = await asyncio.gather(*(mesh.users.get(*one) for one in names.items()), return_exceptions=True)
    assert isinstance(found[1], DataError)
    assert [user.name for user in (found[0], found[2])] == ["Ada", "Grace"]  # type: ignore[union-attr]


async def test_one_whom_another_node_has_just_made_keeps_nobody_else_out(mesh: Mesh, app: App) -> None:
    raced: list[str] = []

    def race(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT") and not raced:
            raced.append(statement)
            cursor.execute("INSERT INTO users (telegram_id, name, is_admin) VALUES (8001, 'there', 0)")
            connection.connection.commit()

    event.listen(mesh.database.engine.sync_engine, "before_cursor_execute", race)
    users = await asyncio.gather(*(mesh.users.get(id_, "") for id_ in range(8000, 8003)))
    assert [user.name for user in users] == ["", "there", ""]
    assert raced


async def test_one_who_is_looked_for_and_made_at_the_same_time_is_made(mesh: Mesh, app: App) -> None:
    found, made = await asyncio.gather(mesh.users.find(9000), mesh.users.get(9000, "N"))
    assert made.name == "N"
    assert found is None or found.id == made.id


async def test_two_nodes_meet_a_new_user_at_once(mesh: Mesh, app: App) -> None:
    async with open_mesh(mesh.settings, "ws-2") as other_mesh:
        other = await bound(App, other_mesh, "counter")
        clients = [new_client(app), new_client(other)]
        for telegram_id in range(2000, 2030):
            await asyncio.gather(*(c.app.login(c, launch({"id": telegram_id, "first_name": "N"})) for c in clients))
            assert clients[0].user.id == clients[1].user.id
        async with app.db() as session:
            assert await session.scalar(select(func.count()).select_from(User)) == 30


async def test_the_mark_of_an_admin_is_not_saved_by_the_way(app: App) -> None:
    await app.set_admin(1001)
    await app.login(client := new_client(app), launch())
    assert client.user.is_admin
    async with app.db() as session:
        session.add(client.user)
        client.user.name = "Changed"
        await session.commit()
    async with app.db() as session:
        assert (await session.execute(select(User.name, User.is_admin))).one() == ("Changed", False)


async def test_an_admin_by_the_row_loses_it_everywhere_at_once(mesh: Mesh, app: App) -> None:
    await app.login(client := new_client(app), launch())
    async with app.db() as session:
        session.add(client.user)
        client.user.is_admin = True
        await session.commit()
    async with open_mesh(mesh.settings, "ws-2") as other_mesh:
        other = await bound(App, other_mesh, "counter")
        await other.login(second := new_client(other), launch())
        assert second.user.is_admin
        await app.set_admin(1001, is_admin=False)
        await other.login(third := new_client(other), launch())
        assert not third.user.is_admin


async def test_disconnect_runs_the_hook_once_and_closes(mesh: Mesh) -> None:
    gone: list[str] = []

    class Noting(App):
        def on_client_disconnected(self, client: Client) -> None:  # type: ignore[override]  # hooks may be sync
            gone.append(client.id)

    app = await bound(Noting, mesh, "counter")
    client = new_client(app)
    await app.login(client, launch())
    await app.disconnect(client)
    await app.disconnect(client)
    assert gone == ["c1"]
    assert app.clients == {}
    assert client._link.closed == (1000, "")


async def test_the_bot_is_known_in_every_process(mesh: Mesh, app: App) -> None:
    assert app.telegram_me is None
    assert await app.bot_status() is BotStatus.Disconnected
    redis, keys = app.redis, app.keys
    await write_me(redis, keys, TelegramMe(42, "CounterBot", "Counter"))
    await app.login(new_client(app), launch())
    assert app.telegram_me == TelegramMe(42, "CounterBot", "Counter")
    await write_status(redis, keys, BotStatus.Running, worker="bot-1")
    assert await app.bot_status() is BotStatus.Crashed, "its worker is not alive"
    async with Registration(mesh.broker, Node("bot-1", "bot", "")):
        assert await app.bot_status() is BotStatus.Running
    await write_status(redis, keys, BotStatus.Offline, worker="bot-1")
    assert await app.bot_status() is BotStatus.Offline
