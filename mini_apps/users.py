"""The lookup of users: found or made once, then remembered for a minute by this process."""

import asyncio
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, inspect, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from mini_apps.models import NAME_LENGTH, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table

    from mini_apps.database import Database

__all__ = ["Users", "display_name", "mark_admin"]

REMEMBER_SECONDS = 60.0
REMEMBER_USERS = 50_000  # about 15 MB; the longest unused goes first
ASK_TOGETHER = 500  # users of one query
GATHER_SECONDS = 0.008  # between two queries under load: one for fifty users costs little more than one for one

USERS: "Table" = User.metadata.tables[User.__tablename__]
READ = select(USERS.c.telegram_id, USERS.c.id, USERS.c.name, USERS.c.is_admin).where(
    USERS.c.telegram_id.in_(bindparam("telegram_ids", expanding=True))
)
USER = inspect(User)
INSERT = insert(USERS).returning(USERS.c.telegram_id, USERS.c.id)


@dataclass(slots=True)
class Row:
    """One row of `users` as last read or written, and until when it is believed (monotonic seconds)."""

    id: int
    name: str
    is_admin: bool
    until: float


@dataclass(slots=True)
class Lookup:
    """A user who is looked for, by one login or by several.

    Attributes:
        name: of the row to make where there is none; None makes none.
        done: whether there is an outcome.
        row: the row, if there is one.
        error: why it cannot be told.
    """

    name: str | None = None
    done: bool = False
    row: Row | None = None
    error: Exception | None = None


class Users:
    """Finds and makes users.

    Lookups that come while one is under way wait and leave together: one query for all, one transaction for all who are
    new. When a node starts and everybody comes back, a query for each user would be most of the work of a login.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: "Database") -> None:
        configure_mappers()  # or the first user made could not be read
        self._database = database
        self._rows: dict[int, Row] = {}  # who was of use last comes last
        self._wanted: dict[int, Lookup] = {}  # at most one for each login under way
        self._asking: asyncio.Event | None = None  # set when the lookups under way are over
        self._asked = 0.0  # when the last were, monotonic seconds

    async def get(self, telegram_id: int, name: str | None = None) -> User:
        """Find a user, or make one.

        Args:
            telegram_id: whose row.
            name: what Telegram calls the user now, written when it changed; None leaves the row's name.

        Returns:
            An object of its own for each call, detached: `session.add` or `session.merge` bring it into a session.
        """
        row = self._remembered(telegram_id)
        while row is None:  # at the first try it may not have been asked to be made
            row = await self._look_up(telegram_id, name or "")
        if name and row.name != name:
            await self._rename(telegram_id, row, name)
        return _detached(telegram_id, row)

    async def find(self, telegram_id: int) -> User | None:
        """Find a user, or return None for somebody who never logged in."""
        row = self._remembered(telegram_id) or await self._look_up(telegram_id, None)
        return None if row is None else _detached(telegram_id, row)

    async def clear_admin(self, telegram_id: int) -> None:
        """Take the admin mark out of the user's row, if it is there."""
        await self._update(telegram_id, is_admin=False)
        self._rows.pop(telegram_id, None)

    def _remembered(self, telegram_id: int) -> Row | None:
        row = self._rows.get(telegram_id)
        # The mark of an admin is read again each time: who lost it elsewhere must not keep it here for a minute.
        if row is None or row.is_admin or time.monotonic() >= row.until:
            return None
        self._remember(telegram_id, row)
        return row

    def _remember(self, telegram_id: int, row: Row) -> None:
        self._rows.pop(telegram_id, None)
        self._rows[telegram_id] = row
        if len(self._rows) > REMEMBER_USERS:
            del self._rows[next(iter(self._rows))]

    async def _look_up(self, telegram_id: int, name: str | None) -> Row | None:
        lookup = self._wanted.setdefault(telegram_id, Lookup())  # a user's tabs log in together and share it
        if lookup.name is None:
            lookup.name = name
        while not lookup.done:
            if self._asking is not None:
                await self._asking.wait()
            else:
                await self._ask()
        if lookup.error is not None:
            raise lookup.error
        return lookup.row

    async def _ask(self) -> None:
        """Settle what is wanted by now; if this is cancelled, one of those who wait asks again."""
        self._asking = asyncio.Event()
        lookups: dict[int, Lookup] = {}
        try:
            await asyncio.sleep(self._asked + GATHER_SECONDS - time.monotonic())
            lookups.update(islice(self._wanted.items(), ASK_TOGETHER))
            await self._settle(lookups)
        except Exception as error:  # noqa: BLE001 - raised by each lookup it is the answer to
            for lookup in lookups.values():
                lookup.error = error
            self._settled(lookups)
        else:
            self._settled(lookups)
        finally:
            self._asked = time.monotonic()
            self._asking.set()
            self._asking = None

    def _settled(self, lookups: dict[int, Lookup]) -> None:
        for telegram_id, lookup in lookups.items():
            lookup.done = True
            del self._wanted[telegram_id]
            if lookup.row is not None:
                self._remember(telegram_id, lookup.row)

    async def _settle(self, lookups: dict[int, Lookup]) -> None:
        for telegram_id, row in (await self._read(list(lookups))).items():
            lookups[telegram_id].row = row
        new = {id_: lookup.name for id_, lookup in lookups.items() if lookup.row is None and lookup.name is not None}
        if not new:
            return
        try:
            made = await self._insert(new)
        except (IntegrityError, DataError):  # another node was faster with one of them, or one cannot be written
            await self._make_each(lookups, new)
        else:
            for telegram_id, row in made.items():
                lookups[telegram_id].row = row

    async def _make_each(self, lookups: dict[int, Lookup], new: dict[int, str]) -> None:
        """Make users one by one, so that what is wrong with one is not wrong with the others."""
        for telegram_id, name in new.items():
            lookup = lookups[telegram_id]
            try:
                made = await self._insert({telegram_id: name})
            except IntegrityError as error:
                made = await self._read([telegram_id])
                lookup.error = None if made else error
            except DataError as error:
                made, lookup.error = {}, error
            lookup.row = made.get(telegram_id)

    async def _read(self, telegram_ids: list[int]) -> dict[int, Row]:
        async with self._database.engine.connect() as connection:
            found = await connection.execute(READ, {"telegram_ids": telegram_ids})
            return {telegram_id: Row(id_, name, admin, _soon()) for telegram_id, id_, name, admin in found}

    async def _insert(self, names: dict[int, str]) -> dict[int, Row]:
        rows = [{"telegram_id": id_, "name": name, "is_admin": False} for id_, name in names.items()]
        async with self._database.engine.begin() as connection:
            made = await connection.execute(INSERT, rows)
            return {
                telegram_id: Row(id_, names[telegram_id], is_admin=False, until=_soon()) for telegram_id, id_ in made
            }

    async def _rename(self, telegram_id: int, row: Row, name: str) -> None:
        row.name = name  # first, so that the user's other tabs need not
        try:
            await self._update(telegram_id, name=name)
        except BaseException:
            self._rows.pop(telegram_id, None)  # who knows; it is read again
            raise

    async def _update(self, telegram_id: int, **values: Any) -> None:
        async with self._database.engine.begin() as connection:
            await connection.execute(update(User).where(User.telegram_id == telegram_id).values(**values))


def display_name(user: "Mapping[str, Any]") -> str:
    """Make the name of a Telegram user from init data or an update, empty where there is none.

    Args:
        user: with any of `first_name`, `last_name`, `username`.
    """
    parts = [str(user[part]).strip() for part in ("first_name", "last_name") if user.get(part)]
    return (" ".join(part for part in parts if part) or str(user.get("username") or ""))[:NAME_LENGTH]


def mark_admin(user: Any, *, is_admin: bool) -> None:
    """Set `is_admin` on the object without SQLAlchemy taking it for a change to save."""
    if isinstance(user, User):
        set_committed_value(user, "is_admin", is_admin)
    else:
        user.is_admin = is_admin


def _soon() -> float:
    return time.monotonic() + REMEMBER_SECONDS


def _detached(telegram_id: int, row: Row) -> User:
    """Make the object as a query would have: its constructor and `make_transient_to_detached` cost five times that."""
    user: User = USER.class_manager.new_instance()
    user.__dict__.update(id=row.id, telegram_id=telegram_id, name=row.name, is_admin=row.is_admin)
    instance_state(user).key = USER.identity_key_from_primary_key((row.id,))
    return user
