"""What is asked of the database, each in one transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from examples.mini_event.models import Attendance, Event
from mini_apps import AppError, User

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as one user sees it."""

    event: Event
    attendees: int
    attending: bool

    def to_json(self) -> dict[str, Any]:
        """Give the fields of an `event` message."""
        return {**self.event.to_json(), "attendees": self.attendees, "attending": self.attending}


async def coming(s: AsyncSession, user_id: int, now: float) -> list[Seen]:
    """Read the events that are not over, the next one first, as a user sees them."""
    rows = await s.execute(_seen_by(user_id).where(_not_over(now)))
    return [Seen(*row) for row in rows]


async def seen(s: AsyncSession, event_id: int, user_id: int) -> Seen | None:
    """Read one event as a user sees it."""
    row = (await s.execute(_seen_by(user_id).where(Event.id == event_id))).one_or_none()
    return None if row is None else Seen(*row)


async def with_attendees(s: AsyncSession, event_id: int) -> tuple[Event, set[int]] | None:
    """Read an event, then (so never older than it) the `User.id` of everybody who attends."""
    event = await s.get(Event, event_id)
    if event is None:
        return None
    return event, set(await s.scalars(select(Attendance.user_id).where(Attendance.event_id == event_id)))


async def found(s: AsyncSession, text: str, now: float, limit: int) -> list[Event]:
    """Search titles and descriptions of the events that are not over; an empty text finds all."""
    wanted = or_(Event.title.icontains(text, autoescape=True), Event.description.icontains(text, autoescape=True))
    query = select(Event).where(_not_over(now), wanted).order_by(Event.start, Event.id).limit(limit)
    return list(await s.scalars(query))


async def attend(s: AsyncSession, event_id: int, user_id: int, *, comes: bool) -> bool:
    """Let a user attend an event, or leave it; false where that was so already.

    Raises:
        AppError: there is no such event.
    """
    # First the event's row, whose lock makes everybody who comes and goes wait for each other.
    changed = update(Event).where(Event.id == event_id).values(revision=Event.revision + 1).returning(Event.id)
    if (await s.execute(changed)).first() is None:
        raise AppError("No such event", code="missing")
    there = await s.get(Attendance, (event_id, user_id))
    if (there is not None) == comes:
        return False  # nothing is committed
    if there is None:
        s.add(Attendance(event_id=event_id, user_id=user_id))
    else:
        await s.delete(there)
    await s.commit()
    return True


async def remove(s: AsyncSession, event_id: int) -> str | None:
    """Delete an event and return the address of its picture; None where there is no such event."""
    await s.execute(update(Event).where(Event.id == event_id).values(revision=Event.revision + 1))
    await s.execute(delete(Attendance).where(Attendance.event_id == event_id))
    image = (await s.execute(delete(Event).where(Event.id == event_id).returning(Event.image))).scalar_one_or_none()
    await s.commit()
    return image


async def pictures(s: AsyncSession) -> set[str]:
    """Read the addresses of all events' pictures."""
    return set(await s.scalars(select(Event.image).where(Event.image != "")))


async def due(s: AsyncSession, now: float) -> list[Event]:
    """Read the events that have begun and were not announced."""
    query = select(Event).where(Event.announced_at.is_(None), Event.start <= now).order_by(Event.start)
    return list(await s.scalars(query))


async def attendees(s: AsyncSession, event_id: int) -> list[int]:
    """Read the Telegram ids of everybody who attends an event."""
    query = select(User.telegram_id).join(Attendance, Attendance.user_id == User.id)
    return list(await s.scalars(query.where(Attendance.event_id == event_id).order_by(User.id)))


async def mark_announced(s: AsyncSession, event_id: int, now: float) -> None:
    """Note that everybody was told that an event starts."""
    await s.execute(update(Event).where(Event.id == event_id).values(announced_at=int(now)))
    await s.commit()


def _not_over(now: float) -> ColumnElement[bool]:
    return Event.start + Event.duration * 3600 > now


def _seen_by(user_id: int) -> Select[Event, int, bool]:
    every = select(func.count()).where(Attendance.event_id == Event.id).correlate(Event).scalar_subquery()
    own = select(Attendance.user_id).where(Attendance.event_id == Event.id, Attendance.user_id == user_id)
    query = select(Event, every, own.correlate(Event).exists())
    return query.order_by(Event.start, Event.id).limit(MOST_SHOWN)
