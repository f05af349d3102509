"""The tables: events, and who attends them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from mini_apps import Base


class Event(Base):
    """An event.

    Attributes:
        id: never given twice, so that a page may remember what is gone.
        title: one line of plain text.
        description: plain text.
        start: unix seconds.
        duration: hours.
        image: address of its picture; empty where it has none.
        revision: grows with each change, also of who attends, so that a page knows the newer of two messages.
        announced_at: unix seconds at which those who attend had been told that it starts.
    """

    __tablename__ = "events"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name and form

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(String(1000), default="")
    start: Mapped[int] = mapped_column(BigInteger, index=True)
    duration: Mapped[float]
    image: Mapped[str] = mapped_column(String(500), default="")
    revision: Mapped[int] = mapped_column(default=0)
    announced_at: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def end(self) -> float:
        """When it is over, unix seconds."""
        return self.start + self.duration * 3600

    def to_json(self) -> dict[str, Any]:
        """Give the fields of an `event` message that are the same for everybody."""
        return {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "start": datetime.fromtimestamp(self.start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration": self.duration,
            "image": self.image,
            "revision": self.revision,
        }


class Attendance(Base):
    """Somebody attends an event."""

    __tablename__ = "attendances"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
