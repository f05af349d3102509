"""The shapes a setting can have, each with the text that tells what was expected."""

import ipaddress
import re
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo

from shared.redis_url import REDIS_EXAMPLE, REDIS_SCHEMES, parse


def setting(default: Any, meaning: str) -> Any:
    """Declare a setting: its default and the sentence that documents it in docs/settings.md."""
    return Field(default, description=meaning)


def is_secret(field: FieldInfo) -> bool:
    """Tell whether the setting holds secrets, alone or in a list."""
    return _mentions(field.annotation, SecretStr)


def is_list(field: FieldInfo) -> bool:
    """Tell whether the setting is a list."""
    return _mentions(field.annotation, list)


def is_text(field: FieldInfo) -> bool:
    """Tell whether the setting is a plain text, for which an empty one means something."""
    return _mentions(field.annotation, str)


def is_table(field: FieldInfo) -> bool:
    """Tell whether the setting is a table of the author's own keys."""
    return _mentions(field.annotation, dict)


def _mentions(annotation: Any, wanted: type) -> bool:
    origin = getattr(annotation, "__origin__", annotation)
    return origin is wanted or any(_mentions(inner, wanted) for inner in get_args(annotation))


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):  # Python counts booleans as numbers; a port `true` is a mistake
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic reports ValueError, not TypeError
    return value


def _whole_when_whole(value: float) -> float:
    """Keep 25 an int, so that it leaves as `25` and not `25.0` in messages and documents."""
    return int(value) if value == int(value) else value


def _scheme_and_rest(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the address, which may hold a password
        return "", ""
    return parts.scheme, parts.netloc or parts.path


def _address(*schemes: str) -> AfterValidator:
    """Make a validator for an address that is empty or has one of the schemes."""

    def check(url: str) -> str:
        scheme, rest = _scheme_and_rest(url)
        if url and (scheme not in schemes or not rest or re.search(r"\s", url)):
            raise ValueError(f"expected an address that starts with {' or '.join(f'{s}://' for s in schemes)}")
        return url

    return AfterValidator(check)


def _redis_url(url: SecretStr) -> SecretStr:
    scheme, rest = _scheme_and_rest(url.get_secret_value())
    if scheme not in REDIS_SCHEMES or not rest:
        known = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        raise ValueError(f"expected an address such as {REDIS_EXAMPLE} (known: {known})")
    parse(url.get_secret_value())
    return url


def _database_url(url: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[a-z0-9]+\+[a-z0-9]+://(\S.*)?", url.get_secret_value()):
        wanted = "sqlite+aiosqlite:///db/mini-apps.sqlite or postgresql+asyncpg://user@host/name"
        raise ValueError(f"expected a SQLAlchemy address with an asyncio driver, such as {wanted}")
    return url


def _matching(pattern: str, expected: str) -> AfterValidator:
    """Make a validator for a text or secret that must match; the value never enters the error text."""

    def check(value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected an IP address or network such as 10.0.0.0/8") from None
    return text


def _sender(text: str) -> str:
    return text if text == "telegram" else _network(text)


def _empty_is_unset(value: Any) -> Any:
    """Read an empty text as "not set": container files pass `TOKEN=${TOKEN:-}` like that."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if text == "" else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Limit = Annotated[int, BeforeValidator(_not_bool), Field(ge=0)]
Number = Annotated[int, BeforeValidator(_not_bool)]
Positive = Annotated[int, BeforeValidator(_not_bool), Field(ge=1)]
Lanes = Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=1024)]
Port = Annotated[int, BeforeValidator(_not_bool), Field(ge=0, le=65535)]
_Float = Annotated[float, BeforeValidator(_not_bool), Field(allow_inf_nan=False), AfterValidator(_whole_when_whole)]
Seconds = Annotated[_Float, Field(ge=0)]
Lifetime = Annotated[_Float, Field(gt=0)]
HttpUrl = Annotated[str, _address("http", "https")]
WsUrl = Annotated[str, _address("ws", "wss")]
ProxyUrl = Annotated[str, _address("http", "https", "socks4", "socks5")]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Network = Annotated[str, AfterValidator(_network)]
Sender = Annotated[str, AfterValidator(_lower), AfterValidator(_sender)]
Host = Annotated[str, _matching(r"\S+", "a host name or an IP address")]
Prefix = Annotated[str, _matching(r"[A-Za-z0-9_.-]{1,32}", "1 to 32 letters, digits, `_`, `.` or `-`")]
NodeId = Annotated[str, _matching(r"[A-Za-z0-9_.-]{0,64}", "at most 64 letters, digits, `_`, `.` or `-`")]
ClassPath = Annotated[str, _matching(r"(|[\w.]+:\w+)", "module:Class, such as app:Counter")]
NonEmptySecret = Annotated[SecretStr, _matching(r"(?s).+", "a secret, not an empty text")]
BotToken = Annotated[
    SecretStr, _matching(r"[0-9]+:[A-Za-z0-9_-]+", "a bot token as @BotFather gives it: digits, a colon, a secret")
]
HexKey = Annotated[SecretStr, _matching(r"[0-9a-fA-F]{64}", "64 hex digits: HMAC-SHA256 of the bot token")]
WebhookSecret = Annotated[SecretStr, _matching(r"[A-Za-z0-9_-]{1,256}", "1 to 256 of A-Z a-z 0-9 _ -")]
EmptyIsUnset = BeforeValidator(_empty_is_unset)
AnyCase = BeforeValidator(_lower)
