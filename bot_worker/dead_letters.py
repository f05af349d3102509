"""What is kept of an update that was given up: why, and everything needed to try it again."""

import time
import traceback
from collections.abc import Mapping

from shared.redact import scrub

REASON_LENGTH = 500  # characters
TRACEBACK_LENGTH = 8_000  # characters, the end counts


def letter(
    error: BaseException, fields: Mapping[bytes, bytes], *, lane: str, entry: bytes, tries: int
) -> dict[str, bytes | str | int]:
    """Return the fields of a dead letter.

    Args:
        error: of the last try.
        fields: of the entry, kept as they are.
        lane: it was in, by its name; empty for none.
        entry: its id in the lane.
        tries: that failed.
    """
    about: dict[str, bytes | str | int] = {
        "reason": reason(error),
        "error": type(error).__name__,
        "traceback": _traceback(error),
        "tries": tries,
        "lane": lane,
        "entry": entry,
        "died": int(time.time() * 1000),
    }
    return about | {name.decode("utf-8", "replace"): value for name, value in fields.items()}


def reason(error: BaseException) -> str:
    """Return an error in one line, without secrets."""
    text = " ".join(str(error).split())
    return scrub(text or type(error).__name__)[:REASON_LENGTH]


def _traceback(error: BaseException) -> str:
    return scrub("".join(traceback.format_exception(error)))[-TRACEBACK_LENGTH:]
