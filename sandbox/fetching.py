"""Files that a call names by their address: which they are, and how they are got, as Telegram does.

Source: https://core.telegram.org/bots/api#sending-files
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.errors import ApiError, bad_request
from sandbox.files import Sent
from sandbox.inline_results import media_address
from sandbox.media import KINDS
from sandbox.params import Params

TIMEOUT_SECONDS = 10.0
MAX_FETCHED = 20 * 1024 * 1024  # by address less than by upload

_SENDING = {f"send{kind.replace('_', '')}": kind for kind in KINDS}


def addresses(method: str, params: Params) -> list[str]:
    """Return the addresses of the files that a call names.

    Args:
        method: in small letters.
        params: of the call.
    """
    return [value for value in _named(method, params) if _is_address(value)]


async def fetch(addresses: list[str]) -> Mapping[str, Sent]:
    """Get files, by address.

    Raises:
        ApiError: one cannot be had, in Telegram's words.
    """
    if not addresses:
        return {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        return {address: await _get(http, address) for address in addresses}


async def _get(http: aiohttp.ClientSession, address: str) -> Sent:
    try:
        async with http.get(address) as response:
            response.raise_for_status()
            data = await response.content.read(MAX_FETCHED + 1)
            while len(data) <= MAX_FETCHED and (more := await response.content.read(MAX_FETCHED + 1)):
                data += more
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise bad_request("failed to get HTTP URL content") from error
    if len(data) > MAX_FETCHED:
        raise ApiError(400, "Bad Request: file is too big")
    return Sent(urlsplit(address).path.rpartition("/")[2] or "file", data)


def _named(method: str, params: Params) -> Iterator[str]:
    if kind := _SENDING.get(method):
        yield params.text(kind)
    elif method == "sendmediagroup":
        yield from (_media(item) for item in params.array("media") or ())
    elif method == "editmessagemedia":
        yield _media(params.obj("media"))
    elif method in {"answerwebappquery", "savepreparedinlinemessage"}:
        yield media_address(params.obj("result") or {})


def _media(item: Any) -> str:
    return str(item.get("media", "")) if isinstance(item, dict) else ""


def _is_address(value: str) -> bool:
    return value.startswith(("http://", "https://"))
