"""The proof Telegram gives a mini app of who opened it: init data, and the older Login Widget.

Everything here is pure but for one default: without `now` the clock is read. Sources:
https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app and
https://core.telegram.org/widgets/login#checking-authorization.

A string is refused for the first of these it breaks, so that one mistake always has one reason: the query string from
left to right (shape, duplicates), characters, the form of `auth_date`, the proof, a missing `auth_date`, `user`,
age. Other fields are not judged: what Telegram signs may grow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.launch_fields import (
    InitDataError,
    Reason,
    check_auth_date_form,
    check_characters,
    data_check_string,
    parse_fields,
    seconds_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLOCK_SKEW",
    "MAX_AGE",
    "PRODUCTION_KEY",
    "TEST_KEY",
    "InitData",
    "InitDataError",
    "Reason",
    "data_check_string",
    "validate",
    "validate_login_widget",
    "validate_signature",
    "webapp_key",
]

PRODUCTION_KEY: Final = bytes.fromhex("e7bf03a2fa4602af4580703d88dda5bb59f32ed8b02a56c187fe7d34caed242d")
TEST_KEY: Final = bytes.fromhex("40055058a4ee38156a06562e52eece92a771bcd8346a8c4615cb7376eddf72ec")
MAX_AGE: Final = 86_400
CLOCK_SKEW: Final = 60

_HASH: Final = re.compile("[0-9a-f]{64}")
_SIGNATURE: Final = re.compile("([A-Za-z0-9_-]{86})(?:==)?")


@dataclass(frozen=True, slots=True)
class InitData:
    """Validated launch data.

    Attributes:
        fields: every signed field as it was decoded, `hash` and `signature` taken out: they are proof, not data.
        auth_date: when Telegram signed it, unix seconds.
        user: the decoded `user`, or None where Telegram sent none.
    """

    fields: Mapping[str, str] = field(repr=False)
    auth_date: int
    user: dict[str, Any] | None = field(repr=False)

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> InitData:
        """Read fields whose proof was already checked, from init data or from a session token.

        Args:
            fields: decoded fields without `hash` and `signature`.

        Raises:
            InitDataError: `auth_date` is missing or no number, or `user` is not a JSON object.
        """
        check_auth_date_form(fields)
        if "auth_date" not in fields:
            raise InitDataError("auth_date", "init data has no auth_date")
        user = None
        if (text := fields.get("user")) is not None and (user := _json_object(text)) is None:
            raise InitDataError("user", "the user field of the init data is not a JSON object")
        return cls(fields, seconds_of(fields["auth_date"]), user)

    @property
    def telegram_id(self) -> int | None:
        """The user's Telegram id, or None without a user or with an id that is not an integer."""
        identifier = self.user.get("id") if self.user else None
        return identifier if type(identifier) is int else None

    @property
    def start_param(self) -> str | None:
        """What followed `startapp=` in the link that opened the mini app."""
        return self.fields.get("start_param")

    @property
    def chat_instance(self) -> str | None:
        """The same for everybody who opened the mini app from one chat."""
        return self.fields.get("chat_instance")

    @property
    def chat_type(self) -> str | None:
        """One of sender, private, group, supergroup and channel, for direct links."""
        return self.fields.get("chat_type")

    @property
    def query_id(self) -> str | None:
        """What `answerWebAppQuery` takes."""
        return self.fields.get("query_id")

    @property
    def chat(self) -> dict[str, Any] | None:
        """The chat the mini app was opened in from the attachment menu."""
        return _json_object(self.fields.get("chat"))

    @property
    def receiver(self) -> dict[str, Any] | None:
        """The partner of the private chat the mini app was opened in from the attachment menu."""
        return _json_object(self.fields.get("receiver"))

    def to_dict(self) -> dict[str, Any]:
        """Give all fields by name, as text but for `user`, `chat` and `receiver`, which are decoded."""
        objects = {"user": self.user, "chat": self.chat, "receiver": self.receiver}
        return {**self.fields, **{name: value for name, value in objects.items() if value is not None}}


@lru_cache(maxsize=256)  # asked for at each login
def webapp_key(token: str) -> bytes:
    """Derive the key that init data is signed with, 32 bytes.

    Args:
        token: the bot token. Whoever holds the key can forge logins, so it is kept like the token.
    """
    return hmac.digest(b"WebAppData", token.encode(), "sha256")


@lru_cache(maxsize=256)
def _signer(key: bytes) -> hmac.HMAC:
    """Give what only needs to be copied and fed: at each login, preparing it would be most of the check."""
    return hmac.new(key, digestmod="sha256")


def validate(raw: str, key: bytes, *, now: float | None = None, max_age: float | None = MAX_AGE) -> InitData:
    """Check init data against the bot's own key.

    Args:
        raw: `Telegram.WebApp.initData`, as it came.
        key: what `webapp_key` gives, 32 bytes.
        now: unix seconds; the clock when not given.
        max_age: how old `auth_date` may be, seconds, equal passes; 0 or None for any age.

    Raises:
        InitDataError: the data proves nothing; `reason` says why.
    """
    fields = parse_fields(raw)
    fields_hash = fields.pop("hash", None)
    check = _signer(key).copy()
    check.update(data_check_string(fields).encode())
    _check_hash(fields_hash, check.digest())
    fields.pop("signature", None)  # signed by the hash, but proof itself
    return _fresh(InitData.from_fields(fields), now, max_age)


def validate_signature(
    raw: str,
    bot_id: int | str,
    *,
    public_key: bytes | str = PRODUCTION_KEY,
    now: float | None = None,
    max_age: float | None = MAX_AGE,
) -> InitData:
    """Check init data against Telegram's public key, which needs no secret.

    Source: https://core.telegram.org/bots/webapps#validating-data-for-third-party-use.

    Args:
        raw: `Telegram.WebApp.initData`, as it came. Its `hash` may be missing; nothing signs it here.
        bot_id: the number before the colon of the bot token.
        public_key: 32 bytes or their hex; `TEST_KEY` in Telegram's test environment.
        now: unix seconds; the clock when not given.
        max_age: how old `auth_date` may be, seconds, equal passes; 0 or None for any age.

    Raises:
        InitDataError: the data proves nothing; `reason` says why.
        ValueError: `public_key` is not an Ed25519 public key.
    """
    key = _public_key(bytes.fromhex(public_key) if isinstance(public_key, str) else public_key)
    fields = parse_fields(raw)
    if (fields_hash := fields.pop("hash", None)) is not None:
        _check_hash_form(fields_hash)
    signature = _signature_bytes(fields.pop("signature", ""))
    try:
        key.verify(signature, f"{bot_id}:WebAppData\n{data_check_string(fields)}".encode())
    except InvalidSignature:
        text = "the signature does not match: other data, another bot id, or the other Telegram environment"
        raise InitDataError("signature", text) from None
    return _fresh(InitData.from_fields(fields), now, max_age)


def validate_login_widget(
    fields: Mapping[str, object], token: str, *, now: float | None = None, max_age: float | None = MAX_AGE
) -> dict[str, str]:
    """Check what Telegram's Login Widget gave a page.

    Source: https://core.telegram.org/widgets/login#checking-authorization.

    Args:
        fields: the decoded query parameters, or the widget's callback object (its numbers may be numbers).
        token: the bot token.
        now: unix seconds; the clock when not given.
        max_age: how old `auth_date` may be, seconds, equal passes; 0 or None for any age.

    Returns:
        The signed fields as text, `hash` taken out.

    Raises:
        InitDataError: the fields prove nothing; `reason` says why.
    """
    texts = {key: _widget_text(value) for key, value in fields.items()}
    for key, text in texts.items():
        check_characters(key, text)
    check_auth_date_form(texts)
    fields_hash = texts.pop("hash", None)
    key_bytes = hashlib.sha256(token.encode()).digest()
    _check_hash(fields_hash, hmac.digest(key_bytes, data_check_string(texts).encode(), "sha256"))
    if "auth_date" not in texts:
        raise InitDataError("auth_date", "the login has no auth_date")
    _check_age(seconds_of(texts["auth_date"]), now, max_age)
    return texts


def _check_hash_form(given: str) -> None:
    if not _HASH.fullmatch(given):
        raise InitDataError("hash", "the hash is not 64 lowercase hex digits")


def _check_hash(given: str | None, expected: bytes) -> None:
    if given is None:
        raise InitDataError("hash", "there is no hash, so nothing proves the data")
    _check_hash_form(given)
    if not hmac.compare_digest(given, expected.hex()):
        raise InitDataError("hash", "the hash does not match: changed data, or signed for another bot token")


def _signature_bytes(text: str) -> bytes:
    if not text:
        raise InitDataError("signature", "init data has no signature")
    if not (match := _SIGNATURE.fullmatch(text)):
        raise InitDataError("signature", "the signature is not 64 bytes in base64url")
    decoded = base64.urlsafe_b64decode(match[1] + "==")
    # The last character has four bits to spare: only one of its spellings is canonical (RFC 4648 section 3.5).
    if base64.urlsafe_b64encode(decoded)[:86] != match[1].encode():
        raise InitDataError("signature", "the signature is not canonical base64url")
    return decoded


@lru_cache(maxsize=16)
def _public_key(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


def _fresh(data: InitData, now: float | None, max_age: float | None) -> InitData:
    _check_age(data.auth_date, now, max_age)
    return data


def _check_age(auth_date: int, now: float | None, max_age: float | None) -> None:
    now = time.time() if now is None else now
    if auth_date > now + CLOCK_SKEW:
        raise InitDataError("future", "auth_date lies in the future: is this machine's clock right?")
    if max_age and now - auth_date > max_age:
        raise InitDataError("expired", "init data is too old: open the mini app again")


def _json_object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _widget_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    raise InitDataError("format", "login fields must be text or whole numbers")
