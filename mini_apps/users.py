"""The lookup of users: found or made once, then remembered for a minute by this process."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.session import make_transient_to_detached

from mini_apps.models import NAME_LENGTH, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mini_apps.database import Database

__all__ = ["Users", "display_name", "mark_admin"]

REMEMBER_SECONDS = 60.0
READ_TOGETHER = 500  # users of one query
REMEMBER_USERS = 50_000  # about 20 MB; the longest unused goes first


@dataclass(slots=True)
class Row:
    """One row of `users` as last read or written, and until when it is believed (monotonic seconds)."""

    id: int
    name: str
    is_admin: bool
    until: float


@dataclass(slots=True)
class Answer:
    """What became of one lookup in the database."""

    done: bool = False
    row: Row | None = None
    error: Exception | None = None


class Users:
    """Finds and makes users.

    Lookups that come while one is under way wait and leave together as one query: when a node starts and everybody
    comes back, a query for each user would be most of the work of a login.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._wanted: dict[int, Answer] = {}  # at most one for each login under way
        self._reading: asyncio.Event | None = None  # set when the query under way is over

    async def get(self, telegram_id: int, name: str | None = None) -> User:
        """Find a user, or make one.

        Args:
            telegram_id: whose row.
            name: what Telegram calls the user now, written when it changed; None leaves the row's name.

        Returns:
            An object of its own for each call, detached: `session.add` or `session.merge` bring it into a session.
        """
        async with self._lock(telegram_id):  # a user's tabs log in together and share one read
            row = self._remembered(telegram_id)
            if row is None:
                row = await self._read(telegram_id) or await self._insert(telegram_id, name or "")
            if name and row.name != name:
                await self._rename(telegram_id, name)
                row.name = name
            self._remember(telegram_id, row)
        return _detached(telegram_id, row)

    async def find(self, telegram_id: int) -> User | None:
        """Find a user, or return None for somebody who never logged in."""
        async with self._lock(telegram_id):
            row = self._remembered(telegram_id) or await self._read(telegram_id)
            if row is not None:
                self._remember(telegram_id, row)
        return None if row is None else _detached(telegram_id, row)

    async def clear_admin(self, telegram_id: int) -> None:
        """Take the admin mark out of the user's row, if it is there."""
        await self._update(telegram_id, is_admin=False)
        self._rows.pop(telegram_id, None)

    def _lock(self, telegram_id: int) -> asyncio.Lock:
        lock = self._locks.get(telegram_id)
        if lock is None:
            self._locks[telegram_id] = lock = asyncio.Lock()
        return lock

    def _remembered(self, telegram_id: int) -> Row | None:
        row = self._rows.get(telegram_id)
        # The mark of an admin is read again each time: who lost it elsewhere must not keep it here for a minute.
        return row if row is not None and not row.is_admin and time.monotonic() < row.until else None

    def _remember(self, telegram_id: int, row: Row) -> None:
        self._rows[telegram_id] = row
        self._rows.move_to_end(telegram_id)
        if len(self._rows) > REMEMBER_USERS:
            self._rows.popitem(last=False)

    async def _read(self, telegram_id: int) -> Row | None:
        answer = self._wanted[telegram_id] = Answer()  # the user's lock is held, so there is no other
        try:
            while not answer.done:
                if self._reading is not None:
                    await self._reading.wait()
                else:
                    await self._read_wanted()
        finally:
            del self._wanted[telegram_id]
        if answer.error is not None:
            raise answer.error
        return answer.row

    async def _read_wanted(self) -> None:
        """Answer what is wanted by now; if this is cancelled, one of those who wait asks again."""
        self._reading = asyncio.Event()
        waiting = ((id_, answer) for id_, answer in self._wanted.items() if not answer.done)
        answers = dict(islice(waiting, READ_TOGETHER))
        wanted = select(User.telegram_id, User.id, User.name, User.is_admin).where(User.telegram_id.in_(answers))
        try:
            async with self._database.session() as session:
                for found in await session.execute(wanted):
                    answers[found.telegram_id].row = Row(found.id, found.name, found.is_admin, _soon())
        except Exception as error:  # noqa: BLE001 - raised by each lookup it is the answer to
            for answer in answers.values():
                answer.error, answer.done = error, True
        else:
            for answer in answers.values():
                answer.done = True
        finally:
            self._reading.set()
            self._reading = None

    async def _insert(self, telegram_id: int, name: str) -> Row:
        user = User(telegram_id=telegram_id, name=name, is_admin=False)
        try:
            async with self._database.session() as session:
                session.add(user)
                await session.flush()
                row = Row(user.id, name, is_admin=False, until=_soon())
                await session.commit()
        except IntegrityError:  # another node was faster
            row_there = await self._read(telegram_id)
            if row_there is None:
                raise
            return row_there
        return row

    async def _rename(self, telegram_id: int, name: str) -> None:
        await self._update(telegram_id, name=name)

    async def _update(self, telegram_id: int, **values: Any) -> None:
        async with self._database.session() as session:
            await session.execute(update(User).where(User.telegram_id == telegram_id).values(**values))
            await session.commit()


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
    user = User(id=row.id, telegram_id=telegram_id, name=row.name, is_admin=row.is_admin)
    make_transient_to_detached(user)
    return user
