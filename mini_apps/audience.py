"""Whom the bot of an app may write to, kept in the database.

A user comes in by writing to the bot, or by a login whose init data says `allows_write_to_pm`; and goes out by
blocking the bot, of which Telegram tells by `my_chat_member` and by refusing messages with 403. Who is out is not
written to again until the user comes back. Of a user who is in neither way nothing is known.

Noting is cheap: who was noted within a minute costs a look into a dict, and those who come together share one query,
which writes only what changed.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mini_apps.models import AudienceMember

if TYPE_CHECKING:
    from sqlalchemy import Table

    from mini_apps.database import Database

__all__ = ["Audience", "cannot_be_written_to"]

REMEMBER_SECONDS = 60.0
REMEMBER_MEMBERS = 50_000  # the longest unnoted goes first
NOTED_TOGETHER = 500  # members of one query
LOGINS_SECONDS = 0.2  # in which logins gather that are written together
MAX_PAGE = 10_000
TRIES = 5

_REFUSALS: Final = (
    "bot was blocked by the user",
    "user is deactivated",
    "bot can't initiate conversation with a user",
    "bot can't send messages to bots",
)

MEMBERS: "Table" = AudienceMember.metadata.tables[AudienceMember.__tablename__]
READ: Final = select(MEMBERS.c.telegram_id, MEMBERS.c.blocked_at).where(
    MEMBERS.c.app == bindparam("app"), MEMBERS.c.telegram_id.in_(bindparam("telegram_ids", expanding=True))
)

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What was noted of a member last.

    Attributes:
        may: whether that was that the bot may write.
        until: when it is looked up again, monotonic seconds.
    """

    may: bool
    until: float


@dataclass(slots=True)
class Note:
    """One change that waits to be written.

    Attributes:
        may: whether the bot may write; False is written only where nothing is known.
        done: whether it is written, or failed with `error`.
        error: why it failed.
    """

    may: bool
    done: bool = False
    error: Exception | None = None


class Audience:
    """The audiences of all apps.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._known: OrderedDict[Key, Known] = OrderedDict()
        self._coming: dict[Key, Note] = {}  # at most one for each update or login under way
        self._writing: asyncio.Event | None = None  # set when the query under way is over
        self._logins: dict[Key, bool] = {}  # of less than LOGINS_SECONDS

    async def note(self, app: str, telegram_id: int, *, returned: bool = False) -> None:
        """Note that the bot may write to a user; nothing is written where that is known.

        Args:
            app: its name.
            telegram_id: the user.
            returned: look again even where it is thought to be known, for the user may have been out.
        """
        known = self._remembered((app, telegram_id))
        if returned or known is None or not known.may:
            await self._write((app, telegram_id), may=True)

    def note_login(self, app: str, telegram_id: int, *, may: bool) -> bool:
        """Note with other logins of this moment whether a user allowed the bot to write; nobody waits for it.

        Args:
            app: its name.
            telegram_id: the user.
            may: whether the user allowed it; False changes nothing where something is known.

        Returns:
            Whether `write_logins` is to be run, for nobody does.
        """
        known = self._remembered((app, telegram_id))
        if known is not None and (known.may or not may):
            return False
        first = not self._logins
        self._logins[app, telegram_id] = may or self._logins.get((app, telegram_id), False)
        return first

    async def write_logins(self) -> None:
        """Write what `note_login` was told and will be told in the next moment."""
        await asyncio.sleep(LOGINS_SECONDS)
        logins, self._logins = self._logins, {}
        for app in {app for app, _ in logins}:
            waiting = iter([(telegram_id, may) for (of, telegram_id), may in logins.items() if of == app])
            while batch := dict(islice(waiting, NOTED_TOGETHER)):
                await self._save(app, batch)
                for telegram_id, may in batch.items():
                    self._remember((app, telegram_id), may=may)

    async def block(self, app: str, telegram_id: int) -> None:
        """Note that a user is out: has blocked the bot, or is gone."""
        self._known.pop((app, telegram_id), None)
        member = (AudienceMember.app == app) & (AudienceMember.telegram_id == telegram_id)
        change = update(AudienceMember).where(member, AudienceMember.blocked_at.is_(None)).values(blocked_at=_now())
        async with self._database.session() as session:
            changed = await session.execute(change)
            await session.commit()
        if not changed.rowcount:  # type: ignore[attr-defined]  # SQLAlchemy types it as of any statement
            await self._write((app, telegram_id), may=False)

    async def may_write(self, app: str, telegram_id: int) -> bool | None:
        """Tell whether the bot may write to a user, as the database has it now; None where nothing is known."""
        member = (AudienceMember.app == app) & (AudienceMember.telegram_id == telegram_id)
        async with self._database.session() as session:
            found = (await session.execute(select(AudienceMember.blocked_at).where(member))).one_or_none()
        return None if found is None else found.blocked_at is None

    async def page(self, app: str, after: int = 0, limit: int = 1000) -> list[int]:
        """Return members the bot may write to, by Telegram id.

        Args:
            app: its name.
            after: the id after which to begin: the last one of the page before.
            limit: the most to return.
        """
        wanted = (
            select(AudienceMember.telegram_id)
            .where(AudienceMember.app == app, AudienceMember.telegram_id > after, AudienceMember.blocked_at.is_(None))
            .order_by(AudienceMember.telegram_id)
            .limit(min(limit, MAX_PAGE))
        )
        async with self._database.session() as session:
            return list(await session.scalars(wanted))

    async def count(self, app: str) -> int:
        """Return how many members the bot may write to."""
        members = select(func.count()).where(AudienceMember.app == app, AudienceMember.blocked_at.is_(None))
        async with self._database.session() as session:
            return await session.scalar(members) or 0

    def _remembered(self, key: Key) -> Known | None:
        known = self._known.get(key)
        return known if known is not None and time.monotonic() < known.until else None

    def _remember(self, key: Key, *, may: bool) -> None:
        self._known[key] = Known(may, time.monotonic() + REMEMBER_SECONDS)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBER_MEMBERS:
            self._known.popitem(last=False)

    async def _write(self, key: Key, *, may: bool) -> None:
        note = self._coming.setdefault(key, Note(may))
        note.may = note.may or may
        while not note.done:
            if self._writing is not None:
                await self._writing.wait()
            else:
                await self._write_together()
        if note.error is not None:
            raise note.error
        self._remember(key, may=note.may)

    async def _write_together(self) -> None:
        """Write the notes of one app that wait by now; if this is cancelled, the next who notes does it."""
        self._writing = asyncio.Event()
        app, _ = next(iter(self._coming))
        waiting = ((telegram_id, note.may) for (of, telegram_id), note in self._coming.items() if of == app)
        batch = dict(islice(waiting, NOTED_TOGETHER))
        try:
            await self._save(app, batch)
        except Exception as error:  # noqa: BLE001 - raised by each note it is the answer to
            self._settle(app, batch, error)
        else:
            self._settle(app, batch, None)
        finally:
            self._writing.set()
            self._writing = None

    def _settle(self, app: str, batch: dict[int, bool], error: Exception | None) -> None:
        for telegram_id, may in batch.items():
            note = self._coming[app, telegram_id]
            if note.may == may:  # otherwise it changed meanwhile and is written again
                note.done, note.error = True, error
                del self._coming[app, telegram_id]

    async def _save(self, app: str, notes: dict[int, bool]) -> None:
        for attempt in range(TRIES):
            try:
                await self._save_once(app, notes)
            except IntegrityError:  # another process noted one of them at the same moment
                if attempt + 1 == TRIES:
                    raise
            else:
                return

    async def _save_once(self, app: str, notes: dict[int, bool]) -> None:
        now = _now()
        async with self._database.engine.begin() as connection:
            found = await connection.execute(READ, {"app": app, "telegram_ids": list(notes)})
            known = {row.telegram_id: row.blocked_at for row in found}
            new = [
                {"app": app, "telegram_id": telegram_id, "since": now, "blocked_at": None if may else now}
                for telegram_id, may in notes.items()
                if telegram_id not in known
            ]
            back = [id_ for id_, blocked_at in known.items() if blocked_at is not None and notes[id_]]
            if new:
                await connection.execute(insert(MEMBERS), new)
            if back:
                returning = (MEMBERS.c.app == app) & MEMBERS.c.telegram_id.in_(back)
                await connection.execute(update(MEMBERS).where(returning).values(blocked_at=None))


def cannot_be_written_to(status: int, description: str) -> bool:
    """Tell whether an answer of the Bot API to a message for a user means that writing again is in vain.

    Source: the texts of the open-source Bot API server; https://core.telegram.org/bots/api#making-requests for their
    place in the answer.

    Args:
        status: of the answer.
        description: as Telegram words it.
    """
    if status == 403:
        return any(refusal in description for refusal in _REFUSALS)
    return status == 400 and "chat not found" in description


def _now() -> int:
    return int(time.time())
