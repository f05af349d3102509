"""Whom a bot may write to: who comes in, who goes out, and that nothing is written where nothing changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from app_mesh import make_settings, open_mesh
from bot_rig import Rig, message, rig
from mini_apps.audience import Audience, cannot_be_written_to
from mini_apps.database import Database
from mini_apps.embedded import EmbeddedValkey
from mini_apps.loading import prepare
from mini_apps.testing import sign_init_data
from nodes import Cluster
from shared.broker import Broker
from support import TOKEN, eventually

APP = "counter"


@contextlib.contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collect the first words of what the database is asked."""
    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.append(statement.split(maxsplit=1)[0])

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", hear)


@pytest.fixture
async def database(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Database]:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": "chat_app:Chat"})
    async with open_mesh(settings) as mesh:
        await prepare(mesh)
        yield mesh.database


@pytest.fixture
def audience(database: Database) -> Audience:
    return Audience(database)


async def logged_in(audience: Audience, *users: int, may: bool = False) -> None:
    if [None for user in users if audience.note_login(APP, user, may=may)]:
        await audience.write_logins()


async def test_members_come_in_go_out_and_come_back(audience: Audience) -> None:
    assert await audience.may_write(APP, 1) is None
    await audience.note(APP, 1)
    await audience.note(APP, 2)
    await audience.note("other", 3)
    assert await audience.page(APP) == [1, 2]
    assert await audience.page(APP, after=1) == [2]
    assert await audience.page(APP, limit=1) == [1]
    assert await audience.count(APP) == 2
    await audience.block(APP, 1)
    assert await audience.page(APP) == [2]
    assert (await audience.may_write(APP, 1), await audience.may_write(APP, 2)) == (False, True)
    await audience.note(APP, 1, returned=True)
    assert await audience.count(APP) == 2


async def test_somebody_unknown_can_be_out(audience: Audience) -> None:
    await audience.block(APP, 2**52 - 1)
    assert await audience.may_write(APP, 2**52 - 1) is False
    assert await audience.count(APP) == 0


async def test_a_login_without_permission_takes_nobody_out(audience: Audience) -> None:
    await audience.note(APP, 1)
    await logged_in(audience, 1)
    await logged_in(Audience(audience._database), 1)
    assert await audience.may_write(APP, 1) is True
    await logged_in(audience, 2)
    assert await audience.may_write(APP, 2) is False
    await audience.note(APP, 2)
    assert await audience.may_write(APP, 2) is True


async def test_nothing_is_written_where_nothing_changed(audience: Audience, database: Database) -> None:
    await audience.note(APP, 1)
    with statements(database) as asked:
        for _ in range(100):
            await audience.note(APP, 1)
            await logged_in(audience, 1)
        assert asked == []
        await audience.note(APP, 1, returned=True)
        await Audience(database).note(APP, 1)
        assert asked == ["SELECT", "SELECT"]


async def test_those_who_come_together_share_a_query(audience: Audience, database: Database) -> None:
    with statements(database) as asked:
        await asyncio.gather(*(audience.note(APP, id_) for id_ in range(1, 401) for _ in range(3)))
    assert len(asked) <= 6
    assert await audience.count(APP) == 400


async def test_logins_of_one_moment_are_written_together(audience: Audience, database: Database) -> None:
    await audience.note(APP, 1)
    with statements(database) as asked:
        first = asyncio.create_task(logged_in(audience, *range(2, 1202), may=True))
        await asyncio.sleep(0)
        assert not audience.note_login(APP, 5000, may=False)
        assert not audience.note_login("other", 5000, may=True)
        await first
    assert asked.count("SELECT") == 4, "three queries for 1,201 of this app, one for the other"
    assert await audience.count(APP) == 1201
    assert (await audience.may_write(APP, 5000), await audience.may_write("other", 5000)) == (False, True)
    assert audience.note_login(APP, 5000, may=True), "it is news, and nobody writes any more"


async def test_many_processes_note_the_same_members(database: Database) -> None:
    audiences = [Audience(database) for _ in range(4)]
    await asyncio.gather(*(one.note(APP, id_) for id_ in range(1, 51) for one in audiences))
    assert await audiences[0].page(APP) == list(range(1, 51))


async def test_an_answer_while_a_doubt_is_being_written_wins(audience: Audience) -> None:
    await asyncio.gather(logged_in(audience, 1), audience.note(APP, 1), logged_in(audience, 1))
    assert await audience.may_write(APP, 1) is True


async def test_a_cancelled_note_holds_nobody_up(audience: Audience) -> None:
    first = asyncio.create_task(audience.note(APP, 1))
    await asyncio.sleep(0)
    second = asyncio.create_task(audience.note(APP, 2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    await audience.note(APP, 3)
    assert {2, 3} <= set(await audience.page(APP))


async def test_a_database_of_an_older_version_gets_the_table(
    tmp_path: Path, valkey: EmbeddedValkey, prefix: str
) -> None:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": "chat_app:Chat"})
    async with open_mesh(settings) as mesh:
        await prepare(mesh)
        await mesh.users.get(7, "Ada")
        async with mesh.database.session() as session:
            await session.execute(text("DROP TABLE audience"))
            await session.commit()
    async with open_mesh(settings, "ws-2") as mesh:
        await prepare(mesh)
        await mesh.audience.note(APP, 7)
        assert await mesh.audience.count(APP) == 1
        found = await mesh.users.find(7)
        assert found is not None
        assert found.name == "Ada"


@pytest.mark.parametrize(
    ("status", "description", "verdict"),
    [
        (403, "Forbidden: bot was blocked by the user", True),
        (403, "Forbidden: user is deactivated", True),
        (403, "Forbidden: bot can't initiate conversation with a user", True),
        (400, "Bad Request: chat not found", True),
        (403, "Forbidden: bot is not a member of the channel chat", False),
        (400, "Bad Request: message text is empty", False),
        (429, "Too Many Requests: retry after 3", False),
    ],
)
def test_which_refusals_are_for_good(status: int, description: str, verdict: bool) -> None:  # noqa: FBT001 - a table
    assert cannot_be_written_to(status, description) is verdict


@pytest.fixture
async def bots(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[Audience]:
    database = Database(f"sqlite+aiosqlite:///{folder}/db.sqlite", folder)
    try:
        yield Audience(database)
    finally:
        await database.aclose()


async def _block(bots: Rig, user: int, *, blocked: bool) -> None:
    address = f"{bots.sandbox}/sandbox/api/bots/bot/users/{user}/block"
    async with bots.web.post(address, json={"blocked": blocked}) as response:
        assert response.status == 200


async def test_the_bot_worker_notes_who_writes_blocks_and_returns(bots: Rig, tmp_path: Path) -> None:
    async with bots.worker(), _opened(tmp_path) as audience:
        await bots.say("/start")
        await bots.say("hi", user=1002)
        await eventually(lambda: audience.count("bot"))
        await eventually(lambda: audience.may_write("bot", 1002))
        await _block(bots, 1001, blocked=True)

        async def out() -> bool:
            return await audience.may_write("bot", 1001) is False

        await eventually(out)
        await _block(bots, 1001, blocked=False)
        await eventually(lambda: audience.may_write("bot", 1001))
        group = message(900_000_000, 77, "hi")
        group["message"]["chat"] = {"id": -5, "type": "group", "title": "G"}
        await bots.feed(group, message(900_000_001, 78, "last"))
        await eventually(lambda: audience.may_write("bot", 78))
        assert await audience.page("bot") == [78, 1001, 1002]


async def test_a_node_notes_what_init_data_says(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    database = Database(cluster.settings["DATABASE__URL"], tmp_path)
    audience = Audience(database)

    async def verdict(user: int) -> bool | None:
        return await audience.may_write("chat", user)

    async def known(user: int) -> bool:
        return await verdict(user) is not None

    try:
        node = await cluster.node()
        async with node.page() as page:
            data = sign_init_data(TOKEN, user={"id": 1, "first_name": "A", "allows_write_to_pm": True})
            await page.send(type="login", app="chat", data=data)
            session = (await page.receive("welcome"))["session"]
        async with node.user(2):
            await eventually(lambda: known(2))
        await eventually(lambda: known(1))
        assert (await verdict(1), await verdict(2)) == (True, False)
        await audience.block("chat", 1)
        async with node.page() as page:
            await page.send(type="login", app="chat", session=session)
            await page.receive("hello")
        async with node.user(3):
            await eventually(lambda: known(3))
        assert await verdict(1) is False  # a session token may be a day old, so it proves nothing of this
    finally:
        await cluster.aclose()
        await database.aclose()
