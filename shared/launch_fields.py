"""The fields of launch data: read from the query string that Telegram gave a page, and written down as it signs them.

Source: https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping

Reason = Literal["format", "encoding", "duplicate", "auth_date", "hash", "signature", "user", "future", "expired"]

# Control characters (Unicode Cc) could fold two signed fields into one; U+FFFD is what lenient decoders make of
# broken UTF-8; lone surrogates have no UTF-8 at all.
_REFUSED_CHARACTER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")
_JSON_ESCAPES: Final = (("%22", '"'), ("%3A", ":"), ("%2C", ","), ("%5C", "\\"), ("%2F", "/"), ("%20", " "))
_DIGITS: Final = re.compile("[0-9]+")


class InitDataError(ValueError):
    """Launch data that proves nothing.

    Attributes:
        reason: machine-readable, one of `Reason`; it goes to the client. The text is for people; neither ever
            holds any of the data.
    """

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason


def data_check_string(fields: Mapping[str, str]) -> str:
    """Join fields the way Telegram signs them: whole `key=value` lines, sorted.

    Args:
        fields: decoded fields, those that are not signed already taken out.
    """
    return "\n".join(sorted([f"{key}={value}" for key, value in fields.items()]))


def parse_fields(raw: object) -> dict[str, str]:
    """Read init data as the fields it holds, decoded.

    Args:
        raw: what a client sent, of any type.

    Raises:
        InitDataError: it is no init data; from left to right, then by its characters, then by the form of `auth_date`.
    """
    if not isinstance(raw, str):
        raise InitDataError("format", "init data must be text, the initData string as Telegram gave it")
    if not raw:
        text = "init data is empty, as it is when opened in a browser, from a keyboard button or inline mode"
        raise InitDataError("format", text)
    if raw[0] == "?":
        raise InitDataError("format", "init data starts with a question mark: send initData, not the query of a URL")
    fields: dict[str, str] = {}
    for segment in raw.split("&"):
        encoded_key, equals, encoded_value = segment.partition("=")
        if not equals:
            raise InitDataError("format", "init data is not key=value pairs joined by &: was it encoded twice?")
        key = _form_decode(encoded_key)
        if key in fields:
            raise InitDataError("duplicate", "init data has the same key twice")
        fields[key] = _form_decode(encoded_value)
    for key, value in fields.items():
        check_characters(key, value)
    check_auth_date_form(fields)
    return fields


def _form_decode(text: str) -> str:
    if "%22" in text:
        # JSON is mostly these escapes, and replacing them first halves the time. It cannot make or break another
        # escape: none of the characters is a hex digit or a percent sign.
        for escape, character in _JSON_ESCAPES:
            text = text.replace(escape, character)
    # What is not UTF-8 becomes U+FFFD here, which no field may hold.
    return unquote_plus(text)


def check_characters(key: str, value: str) -> None:
    """Refuse what could make another field of one, or is no text.

    Raises:
        InitDataError: the field holds it.
    """
    # The hash is left to its own form, which is stricter: a stray newline at its end is a wrong hash.
    if _REFUSED_CHARACTER.search(key) or (key != "hash" and _REFUSED_CHARACTER.search(value)):
        raise InitDataError("encoding", "init data holds a control character or is not UTF-8")


def check_auth_date_form(fields: Mapping[str, str]) -> None:
    """Refuse an `auth_date` that is no number; a missing one is for later.

    Raises:
        InitDataError: it is none.
    """
    auth_date = fields.get("auth_date")
    if auth_date is not None and not _DIGITS.fullmatch(auth_date):
        raise InitDataError("auth_date", "auth_date is not a number of seconds")


def seconds_of(digits: str) -> int:
    """Return an `auth_date` of the right form as unix seconds."""
    # Python refuses to read thousands of digits; the first twenty lie far enough in the future.
    return int(digits.lstrip("0")[:20] or "0")
