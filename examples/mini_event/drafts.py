"""Reads what a page sends: people, old pages and hostile ones send anything."""

import base64
import binascii
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mini_apps import AppError

LONGEST_TITLE, LONGEST_DESCRIPTION = 80, 1000
LONGEST_HOURS = 72
LATEST_DAYS = 730
MINUTE = 60
LARGEST_ID = 2**31 - 1

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as somebody wants it.

    Attributes:
        title: one line.
        description: what it is about.
        start: unix seconds.
        duration: hours.
        address: of an uploaded picture, not checked yet; empty without.
        picture: the bytes of one that came in the message itself; empty without.
    """

    title: str
    description: str
    start: int
    duration: float
    address: str = ""
    picture: bytes = b""


def read_draft(data: dict[str, Any], now: float) -> Draft:
    """Read the fields of `create-event`.

    Args:
        data: the message. `start` is ISO 8601 with an offset, or `HH:MM` (UTC) for the next time it is so late, as the
            original's pages send it; `image` is the address of an upload, or `{"name", "base64"}` as there.
        now: unix seconds.

    Raises:
        AppError: code `invalid`; the text says which field, and what it may be.
    """
    title = _text(data.get("title"), "The title", 1, LONGEST_TITLE)
    description = _text(data.get("description") or "", "The description", 0, LONGEST_DESCRIPTION, lines=True)
    address, picture = _image(data.get("image"))
    return Draft(title, description, _start(data.get("start"), now), _hours(data.get("duration")), address, picture)


def read_id(value: Any) -> int:
    """Read the id of an event.

    Raises:
        AppError: it can be none.
    """
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise AppError("No such event", code="missing")
    return value


def _text(value: Any, what: str, least: int, most: int, *, lines: bool = False) -> str:
    if not isinstance(value, str):
        raise AppError(f"{what} is text", code="invalid")
    kept = "".join(letter for letter in value if letter.isprintable() or (lines and letter == "\n")).strip()
    if not least <= len(kept) <= most:
        raise AppError(f"{what} has {least} to {most} characters", code="invalid")
    return kept


def _start(value: Any, now: float) -> int:
    try:
        start = _next(value, now) if _CLOCK.fullmatch(str(value)) else datetime.fromisoformat(str(value))
        moment = int(start.timestamp()) if start.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise AppError("The start is a date and time with its offset, such as 2026-12-24T18:00:00Z", code="invalid")
    if moment < now - MINUTE:
        raise AppError("The start is in the past", code="invalid")
    if moment > now + LATEST_DAYS * 86_400:
        raise AppError(f"The start is within {LATEST_DAYS} days", code="invalid")
    return moment


def _next(value: str, now: float) -> datetime:
    today = datetime.fromtimestamp(now, UTC)
    hours, minutes = map(int, value.split(":"))
    start = today.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return start if start > today else start + timedelta(days=1)


def _hours(value: Any) -> float:
    try:
        hours = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        hours = math.nan
    if not 0 < hours <= LONGEST_HOURS:
        raise AppError(f"The duration is more than 0 and at most {LONGEST_HOURS} hours", code="invalid")
    return round(hours, 2) or 0.01


def _image(value: Any) -> tuple[str, bytes]:
    if value is None or isinstance(value, str):
        return value or "", b""
    try:
        return "", base64.b64decode(value["base64"], validate=True)
    except (TypeError, KeyError, ValueError, binascii.Error):
        raise AppError("The picture is base64 or the address of an upload", code="invalid") from None
