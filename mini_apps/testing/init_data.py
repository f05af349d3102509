"""Init data as Telegram would sign it."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.init_data import data_check_string, webapp_key


def sign_init_data(
    token: str,
    /,
    *,
    bot_id: int | str | None = None,
    private_key: Ed25519PrivateKey | bytes | None = None,
    **fields: Any,
) -> str:
    """Make the init data that Telegram would hand to a mini app.

        sign_init_data(token, user={"id": 1001, "first_name": "Ada"}, start_param="ref_42")

    Source: https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app.

    Args:
        token: the bot token to sign with.
        bot_id: whose data the signature is; the number before the colon of the token when not given.
        private_key: adds `signature` with this Ed25519 key (or its 32 bytes), for checks without the token.
        **fields: the launch fields. Dicts and lists become JSON as Telegram writes it, None leaves a field
            out. `auth_date` is unix seconds, now when not given.

    Raises:
        ValueError: `hash` is among the fields, or `signature` together with a `private_key`.
    """
    if "hash" in fields:
        raise ValueError("sign_init_data: hash is what it computes; change the finished string instead")
    texts = {
        name: _as_text(value) for name, value in {"auth_date": int(time.time()), **fields}.items() if value is not None
    }
    if private_key is not None:
        if "signature" in texts:
            raise ValueError("sign_init_data: give either signature or private_key")
        texts["signature"] = _sign(texts, private_key, token.partition(":")[0] if bot_id is None else bot_id)
    texts["hash"] = hmac.digest(webapp_key(token), data_check_string(texts).encode(), "sha256").hex()
    return urlencode(texts, quote_via=quote, safe="")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Telegram escapes slashes and nothing else that JSON leaves alone.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")


def _sign(texts: dict[str, str], private_key: Ed25519PrivateKey | bytes, bot_id: int | str) -> str:
    if isinstance(private_key, bytes):
        private_key = Ed25519PrivateKey.from_private_bytes(private_key)
    signature = private_key.sign(f"{bot_id}:WebAppData\n{data_check_string(texts)}".encode())
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
