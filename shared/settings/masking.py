"""What in settings is secret: shown as `***`, or collected so that logs can leave it out."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from shared.settings.model import canonical

HIDDEN = "***"
SECRET_WORDS = ("token", "secret", "password", "api_key", "private_key")


def sounds_secret(key: str) -> bool:
    """Tell whether an author's own key, such as `provider-token`, names a secret."""
    return any(word in canonical(key).lower() for word in SECRET_WORDS)


def masked(value: Any, key: str = "") -> Any:
    """Give a setting as plain data with every secret hidden.

    Args:
        value: Text, number, list, table or secret.
        key: What it stands under.
    """
    if value is not None and (isinstance(value, SecretStr) or (sounds_secret(key) and not isinstance(value, list))):
        return HIDDEN
    if isinstance(value, dict):
        return {inner: masked(item, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    return value


def masked_url(url: SecretStr) -> str:
    """Show where an address leads, without its login and parameters."""
    head, _, query = url.get_secret_value().partition("?")
    scheme, _, rest = head.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{HIDDEN if login else ''}{at}{host}{'?' + HIDDEN if query else ''}"


def secret_texts(value: Any, key: str = "") -> Iterator[str]:
    """Find every text that `masked` hides.

    Args:
        value: Text, number, list, table or secret.
        key: What it stands under.
    """
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for inner, item in value.items():
            yield from secret_texts(item, key if sounds_secret(key) else inner)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, key)
    elif isinstance(value, str) and sounds_secret(key):
        yield value


def passwords(url: SecretStr) -> Iterator[str]:
    """Give the password of an address, as written and as meant."""
    login = url.get_secret_value().partition("://")[2].rpartition("@")[0]
    if password := login.partition(":")[2]:
        yield from {password, unquote(password)}
