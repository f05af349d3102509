"""The database of users and of the authors' models: one engine per process, tables made once per deployment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, MetaData, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from mini_apps.models import AudienceMember, Payment, User
from shared.leases import Lease, Names
from shared.lifecycle import StartError

if TYPE_CHECKING:
    from mini_apps.app import App
    from shared.broker import Broker

__all__ = ["Database"]

BUSY_SECONDS = 15  # how long SQLite waits for another writer
LOOK_SECONDS = 0.005
SQLITE_OPTIONS = {"timeout": BUSY_SECONDS}
EXTRAS = {"asyncpg": 'pip install "mini-apps-mesh[postgres]"'}

log = structlog.get_logger("database")


class Database:
    """The engine of one process.

    Args:
        url: SQLAlchemy address with an asyncio driver.
        folder: where a relative SQLite path starts from; the file's folder is made.

    Raises:
        StartError: the address cannot be used, or its driver is not installed.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = _resolved(url, folder)
        self.engine = _engine(self.url)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Give a session that is closed after the block; what was not committed is rolled back."""
        async with self._sessions() as session:
            yield session

    async def create_tables(self, apps: "Iterable[App]", broker: "Broker", node_id: str) -> None:
        """Make the tables of users and of the apps' registered models, those that are missing.

        One process of the deployment at a time does it, and an SQLite file has a lock of its own. Changing a table that
        is there is Alembic's business.

        Args:
            apps: whose `register_models` has run.
            broker: for the lock of other databases.
            node_id: of this process.

        Raises:
            StartError: the database is not reachable or refuses; the text says which and why.
        """
        tables = _tables(apps)
        if _in_file(self.url):
            await self._create(tables)
            return
        lease = Lease(broker, Names(broker.keys.tables, broker.keys.tables_fence), node_id)
        async with lease.wait():
            keeper = asyncio.create_task(lease.keep(), name="tables-lease")
            try:
                await self._create(tables)
            finally:
                keeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeper

    async def aclose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _create(self, tables: list[Table]) -> None:
        try:
            if _in_file(self.url):
                await asyncio.to_thread(_create_in_file, self.url, tables)
            else:
                async with self.engine.begin() as connection:
                    await connection.run_sync(_create_missing, tables)
        except (DBAPIError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StartError(f"database {_shown(self.url)}: {reason}; see database.url") from error


def _resolved(url: str, folder: Path) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:  # its text repeats the address, which may hold a password
        raise StartError("database.url is not an address that SQLAlchemy understands") from None
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return parsed
    path = folder / Path(name).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"database {path}: its folder cannot be made: {error.strerror}; see database.url") from None
    return parsed.set(database=str(path))


def _in_file(url: URL) -> bool:
    """Tell whether it is an SQLite file, which other connections can open too."""
    name = url.database or ":memory:"
    return url.drivername == "sqlite+aiosqlite" and name != ":memory:" and not name.startswith("file:")


def _engine(url: URL) -> AsyncEngine:
    options: dict[str, Any] = {"pool_pre_ping": url.get_backend_name() != "sqlite"}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = SQLITE_OPTIONS
    try:
        engine = create_async_engine(url, **options)
    except ModuleNotFoundError as error:
        cure = EXTRAS.get(str(error.name), f"pip install {error.name}")
        raise StartError(f"database.url needs the package {error.name}: {cure}") from None
    except (NoSuchModuleError, ArgumentError) as error:
        raise StartError(f"database.url: {str(error).splitlines()[0]}") from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """Prepare a new connection: with a write-ahead log NORMAL is durable but for a power cut."""
    script = "PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON"
    if hasattr(connection, "run_async"):  # each statement there would be several turns of its thread
        connection.run_async(lambda driver: driver.executescript(script))
    else:
        connection.executescript(script)


def _tables(apps: "Iterable[App]") -> list[Table]:
    """List the tables to make, each once: ours, and those of the registered models."""
    models = [User, AudienceMember, Payment, *(model for app in apps for model in app.settings.database_models)]
    found = {id(table): table for model in models if (table := getattr(model, "__table__", model)) is not None}
    return list(found.values())


def _create_missing(connection: Connection, tables: list[Table]) -> None:
    by_metadata: dict[MetaData, list[Table]] = {}
    for table in tables:
        by_metadata.setdefault(table.metadata, []).append(table)
    for metadata, its_tables in by_metadata.items():
        metadata.create_all(connection, tables=its_tables)


def _create_in_file(url: URL, tables: list[Table]) -> None:
    """Make the tables in one turn of a thread, where each statement of the asyncio driver takes several."""
    engine = create_engine(
        url.set(drivername="sqlite"), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=SQLITE_OPTIONS
    )
    event.listen(engine, "connect", _tune_sqlite)
    with engine.connect() as connection:
        _write_ahead(connection)
        connection.execute(text("BEGIN IMMEDIATE"))  # waits for others who do it, and does all or nothing
        _create_missing(connection, tables)
        connection.execute(text("COMMIT"))


def _write_ahead(connection: Connection) -> None:
    """Let readers and a writer work side by side from now on; the file remembers it."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(text("PRAGMA journal_mode=WAL"))
        except OperationalError as error:  # SQLite does not wait here for another process that does the same
            if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_BUSY" or time.monotonic() > until:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
