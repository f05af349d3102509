"""The database of a deployment: made once, by whoever comes first, on SQLite and PostgreSQL."""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app_mesh import make_settings, open_mesh
from mini_apps import App, Base, User
from mini_apps.database import Database
from mini_apps.embedded import EmbeddedValkey, free_port
from mini_apps.loading import prepare
from shared.lifecycle import StartError
from shared.settings import load
from support import eventually

CLASS = f"{__name__}:Scoring"


class Score(Base):
    __tablename__ = "scores"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class OwnBase(DeclarativeBase):
    """An author's own."""


class Apart(OwnBase):
    __tablename__ = "apart"
    id: Mapped[int] = mapped_column(primary_key=True)


class Unregistered(Base):
    __tablename__ = "unregistered"
    id: Mapped[int] = mapped_column(primary_key=True)


class Scoring(App):
    def register_models(self) -> None:
        self.settings.database_models.append(Score)
        self.settings.database_models.append(Apart)


async def tables(database: Database) -> set[str]:
    async with database.engine.connect() as connection:
        from sqlalchemy import inspect

        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_nodes_that_start_together_make_the_tables_once(
    tmp_path: Path, valkey: EmbeddedValkey, prefix: str
) -> None:
    settings = [make_settings(tmp_path, valkey.url, prefix, counter={"class": CLASS}) for _ in range(4)]

    async def start(number: int) -> set[str]:
        async with open_mesh(settings[number], f"ws-{number}") as mesh:
            apps = await prepare(mesh)
            assert type(apps["counter"]) is Scoring
            return await tables(mesh.database)

    found = await asyncio.gather(*(start(number) for number in range(4)))
    assert found == [{"users", "audience", "payments", "scores", "apart"}] * 4
    assert (tmp_path / "db" / "mini-apps.sqlite").exists(), "beside the settings file"


async def test_sqlite_lets_many_write_at_once(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> None:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": CLASS})
    async with open_mesh(settings) as one, open_mesh(settings, "ws-2") as two:
        await prepare(one)
        await prepare(two)
        async with one.database.session() as session:
            assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
            assert await session.scalar(text("PRAGMA foreign_keys")) == 1
        await asyncio.gather(
            *(mesh.users.get(telegram_id, "N") for telegram_id in range(3000, 3040) for mesh in (one, two))
        )
        async with two.database.session() as session:
            assert await session.scalar(select(func.count()).select_from(User)) == 40


async def test_what_is_not_committed_is_rolled_back(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> None:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": CLASS})
    async with open_mesh(settings) as mesh:
        app = (await prepare(mesh))["counter"]
        async with app.db() as session:
            session.add(User(telegram_id=1, name="kept"))
            await session.commit()
            session.add(User(telegram_id=2, name="lost"))
            await session.flush()
        async with app.db() as session:
            assert (await session.scalars(select(User.name))).all() == ["kept"]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql+nosuch://u:secret@h/d", "postgresql.nosuch"),
        ("mysql+aiomysql://u:secret@h/d", "database.url needs the package aiomysql: pip install aiomysql"),
    ],
)
def test_an_address_that_cannot_work_is_one_clear_line(tmp_path: Path, url: str, wanted: str) -> None:
    with pytest.raises(StartError) as caught:
        Database(url, tmp_path)
    assert wanted in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_database_that_is_not_there_is_one_clear_line(
    tmp_path: Path, valkey: EmbeddedValkey, prefix: str
) -> None:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": CLASS})
    async with open_mesh(settings) as mesh:
        database = Database(f"postgresql+asyncpg://user:hidden@127.0.0.1:{free_port()}/nothing", tmp_path)
        with pytest.raises(StartError) as caught:
            await database.create_tables([], mesh.broker, "ws-1")
        assert "database postgresql+asyncpg://user:***@127.0.0.1" in str(caught.value)
        assert "see database.url" in str(caught.value)
        (tmp_path / "not-a-folder").write_text("")
        with pytest.raises(StartError, match="its folder cannot be made"):
            Database("sqlite+aiosqlite:///not-a-folder/x.sqlite", tmp_path)
        (tmp_path / "garbage.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 50)
        garbage = Database("sqlite+aiosqlite:///garbage.sqlite", tmp_path)
        with pytest.raises(StartError, match=r"file is not a database; see database\.url"):
            await garbage.create_tables([], mesh.broker, "ws-1")
        await garbage.aclose()
        await database.aclose()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL server of this test's own; where none is installed, the test says so."""
    initdb, server = shutil.which("initdb"), shutil.which("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed")
    port, folder = free_port(), tmp_path / "postgres"
    folder.mkdir()
    whom: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        whom = {"user": "nobody"}
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(0o711)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **whom}
    subprocess.run([initdb, "-D", folder / "data", "-U", "app", "-A", "trust", "-N"], check=True, timeout=60, **quiet)
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-F"]
    process = subprocess.Popen([server, "-D", folder / "data", *options], **quiet)
    try:
        yield f"postgresql+asyncpg://app@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(90)


async def test_two_nodes_on_postgresql(tmp_path: Path, valkey: EmbeddedValkey, prefix: str, postgres: str) -> None:
    file = tmp_path / "mini-apps.toml"
    file.write_text(
        f'[redis]\nurl = "{valkey.url}"\nprefix = "{prefix}"\nlease-seconds = 2\n[database]\nurl = "{postgres}"\n'
        f'[apps.counter]\nclass = "{CLASS}"\nbot-token = "42:sandbox-counter"\n'
    )
    settings = load(file, {})

    async def reachable() -> bool:
        probe = Database(postgres, tmp_path)
        try:
            async with probe.session() as session:
                return bool(await session.scalar(text("select 1")))
        except (OSError, OperationalError):
            return False
        except Exception as error:
            if "starting up" in str(error):
                return False
            raise
        finally:
            await probe.aclose()

    await eventually(reachable, what="PostgreSQL")
    async with open_mesh(settings) as one, open_mesh(settings, "ws-2") as two:
        await asyncio.gather(prepare(one), prepare(two))
        assert await tables(one.database) == {"users", "audience", "payments", "scores", "apart"}
        big = 2**52 - 1
        pairs = [(mesh, telegram_id) for telegram_id in (big, *range(4000, 4020)) for mesh in (one, two)]
        users = await asyncio.gather(*(mesh.users.get(telegram_id, "N") for mesh, telegram_id in pairs))
        assert [user.telegram_id for user in users] == [telegram_id for _, telegram_id in pairs]
        assert all(users[at].id == users[at + 1].id for at in range(0, len(users), 2))
        async with one.database.session() as session:
            assert await session.scalar(select(func.count()).select_from(User)) == 21


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "apps.counter: no login can be checked; set bot-token, or webapp-key to do without it"),
        ({"fake-user": {"id": 1}}, "apps.counter: no session tokens can be made; set bot-token"),
        ({"session-keys": ["a key that signs"]}, "no login can be checked"),
        ({"webapp-key": "ab" * 32}, None),
        ({"verify": "signature", "bot-id": 42, "session-keys": ["a key that signs"]}, None),
    ],
)
async def test_a_node_that_could_check_no_login_does_not_start(
    tmp_path: Path, valkey: EmbeddedValkey, prefix: str, keys: dict[str, Any], text: str | None
) -> None:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={"class": CLASS, "bot-token": "", **keys})
    async with open_mesh(settings) as mesh:
        if text is None:
            assert set(await prepare(mesh)) == {"counter"}
            return
        with pytest.raises(StartError) as caught:
            await prepare(mesh)
        assert text in str(caught.value)
    async with open_mesh(settings, "bot-1", "bot") as mesh:
        assert set(await prepare(mesh)) == {"counter"}, "a bot worker checks no logins"


async def test_disabled_apps_are_left_out(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> None:
    settings = make_settings(
        tmp_path, valkey.url, prefix, counter={"class": CLASS}, off={"class": "nowhere:X", "enabled": False}
    )
    async with open_mesh(settings) as mesh:
        assert set(await prepare(mesh)) == {"counter"}
