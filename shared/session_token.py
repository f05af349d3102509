"""Session tokens, with which a client comes back without init data, and the grants of its channels.

A token is an AEAD box: its holder can neither read nor change it, and any node opens it without asking anybody. It is a
bearer token until it expires, so it is kept out of logs like init data. A grant proves that a user was once let into a
channel.

The box is AES-256-GCM-SIV (RFC 8452). Plain AES-GCM with random nonces is safe for 2**32 tokens a key, which busy nodes
under one long-lived key reach within days; with the SIV construction a repeated nonce only shows that two tokens are
equal. It comes with `cryptography`, which the Ed25519 check of init data needs anyway.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY_BYTES: Final = 32
MAX_TOKEN: Final = 16_384
CLOCK_SKEW: Final = 60
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
# RFC 2104 section 5: half of the hash is enough, and a reconnecting client sends one per channel.
_GRANT_BYTES: Final = 16


class SessionError(ValueError):
    """A session token that opens nothing.

    Attributes:
        reason: `session`, as the client is told. The text is for people; it never holds any of the token.
    """

    reason: Final[Literal["session"]] = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a session token says.

    Attributes:
        app: name of the app logged in to.
        telegram_id: the user.
        launch: the signed launch fields, decoded, without `hash` and `signature`; `InitData.from_fields` reads them.
        issued: when this token was made, unix seconds.
        first_login: when init data was last shown, unix seconds; a renewed token keeps it.
    """

    app: str
    telegram_id: int
    launch: Mapping[str, str] = field(repr=False)
    issued: float
    first_login: float

    def expires(self, *, ttl: float, max_age: float) -> float:
        """Tell the last moment this session is good for, unix seconds; infinity without a limit.

        Args:
            ttl: life of one token, seconds; 0 for no limit.
            max_age: life of the whole session from the first login on, seconds; 0 for no limit.
        """
        unlimited = float("inf")
        return min(self.issued + (ttl or unlimited), self.first_login + (max_age or unlimited))


class SessionKeys:
    """The keys of a deployment or of one app: the first seals and grants, all open and check.

    Args:
        keys: secrets of at least 32 bytes each, the newest first.

    Raises:
        ValueError: there is no key, or one is too short.
    """

    __slots__ = ("_boxes", "_grant_keys")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("session keys: none given; set session-keys, or webapp-key to derive one")
        if short := next((n for n, key in enumerate(keys, 1) if len(key) < KEY_BYTES), None):
            raise ValueError(f"session keys: number {short} is shorter than {KEY_BYTES} bytes")
        self._boxes = [AESGCMSIV(_hkdf(key, b"session/v1/token")) for key in keys]
        self._grant_keys = [_hkdf(key, b"session/v1/grant") for key in keys]

    def seal(self, session: Session, *, nonce: bytes | None = None) -> str:
        """Make the token of a session, URL-safe text of at most `MAX_TOKEN` characters.

        Args:
            session: what the token shall say.
            nonce: 12 bytes, random when not given.

        Raises:
            ValueError: the launch fields are too long for a token; Telegram's never are.
        """
        nonce = os.urandom(_NONCE_BYTES) if nonce is None else nonce
        says = [session.telegram_id, session.issued, session.first_login, dict(session.launch)]
        box = self._boxes[0].encrypt(nonce, orjson.dumps(says), _bound_to(session.app))
        token = base64.urlsafe_b64encode(_VERSION + nonce + box).rstrip(b"=").decode()
        if len(token) > MAX_TOKEN:
            raise ValueError(f"session token: {len(token)} characters, more than {MAX_TOKEN}: launch fields too long")
        return token

    def open(self, token: object, *, app: str, now: float, ttl: float, max_age: float) -> Session:
        """Read a token back.

        Args:
            token: what the client sent.
            app: the app it logs in to; a token of another app does not open.
            now: unix seconds.
            ttl: life of one token, seconds, equal passes; 0 for no limit.
            max_age: life of the whole session from the first login on, seconds, equal passes; 0 for no limit.

        Raises:
            SessionError: the token is not ours, was changed, is for another app or has expired.
        """
        raw = _token_bytes(token)
        telegram_id, issued, first_login, launch = self._decrypt(
            raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :], app
        )
        session = Session(app=app, telegram_id=telegram_id, launch=launch, issued=issued, first_login=first_login)
        if issued > now + CLOCK_SKEW:
            raise SessionError("session token was issued in the future: do the clocks of the nodes agree?")
        if now > session.expires(ttl=ttl, max_age=max_age):
            raise SessionError("session has expired: log in with init data")
        return session

    def grant(self, app: str, telegram_id: int, channel: str, expires: int) -> str:
        """Make the proof that a user was let into a channel.

        Args:
            app: name of the app.
            telegram_id: the user.
            channel: name of the channel.
            expires: the last moment it is good for, unix seconds.
        """
        return f"{expires}.{_base64url(_grant_mac(self._grant_keys[0], app, telegram_id, channel, str(expires)))}"

    def check_grant(self, grant: object, *, app: str, telegram_id: int, channel: str, now: float) -> bool:
        """Tell whether a grant lets this user into this channel now.

        Args:
            grant: what the client sent, of any type.
            app: name of the app.
            telegram_id: the user.
            channel: name of the channel.
            now: unix seconds.
        """
        if not isinstance(grant, str) or not grant.isascii():
            return False
        expires, _, mac = grant.partition(".")
        if not (expires.isdigit() and len(expires) <= 12 and now <= int(expires)):
            return False
        expected = [_grant_mac(key, app, telegram_id, channel, expires) for key in self._grant_keys]
        return any(hmac.compare_digest(mac, _base64url(one)) for one in expected)

    def _decrypt(self, nonce: bytes, box: bytes, app: str) -> list[Any]:
        for candidate in self._boxes:
            try:
                says: list[Any] = orjson.loads(candidate.decrypt(nonce, box, _bound_to(app)))
            except InvalidTag:
                continue
            return says
        raise SessionError("session token was changed, is for another app, or its key has been retired")


def derive_key(webapp_key: bytes) -> bytes:
    """Derive the session key of an app that was given none, 32 bytes, by HKDF-SHA256 (RFC 5869).

    Args:
        webapp_key: what `init_data.webapp_key` gives, 32 bytes.
    """
    return _hkdf(webapp_key, b"session/v1")


def _hkdf(secret: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label).derive(secret)


def _bound_to(app: str) -> bytes:
    return _VERSION + app.encode()


def _token_bytes(token: object) -> bytes:
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise SessionError("session token is not text of a token's length")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SessionError("session token is not base64url") from None
    # One token has one spelling (RFC 4648 section 3.5), and the box holds at least its tag.
    if _base64url(raw) != token or raw[:1] != _VERSION or len(raw) < 1 + _NONCE_BYTES + 16:
        raise SessionError("session token is not of a kind this version makes")
    return raw


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _grant_mac(key: bytes, app: str, telegram_id: int, channel: str, expires: str) -> bytes:
    # The length before the app's name keeps "a" + "b:c" and "a:b" + "c" apart.
    text = f"grant/v1\n{expires}\n{telegram_id}\n{len(app)}\n{app}{channel}"
    return hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")[:_GRANT_BYTES]
