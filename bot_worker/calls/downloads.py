"""Files of Telegram for processes without the token: fetched here, handed over as chunks in Redis.

Source: https://core.telegram.org/bots/api#getfile
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

import orjson
from aiohttp import ClientError, ClientResponseError

from shared.broker import BrokerUnavailable
from shared.call_files import CallFiles, FileTooLarge
from shared.calls import CallEntry, CallResult
from shared.updates import Overloaded

AT_A_TIME: Final = 4

Stream = Callable[[str, float], AsyncGenerator[bytes, None]]


class Downloads:
    """Fetches files for others.

    Args:
        files: where they go.
        stream: gives the bytes behind a `file_path` within so many seconds.
    """

    def __init__(self, files: CallFiles, stream: Stream) -> None:
        self._files = files
        self._stream = stream
        self._room = asyncio.Semaphore(AT_A_TIME)

    async def fetch(self, entry: CallEntry, seconds: float) -> CallResult:
        """Fetch a file into Redis.

        Args:
            entry: with the fields `path`, and `file`: its id in Redis.
            seconds: until it must be there.

        Returns:
            The number of chunks; or the server's refusal; or why it failed.
        """
        path, id = entry.fields["path"], entry.fields["file"]
        try:
            async with asyncio.timeout(max(0.001, seconds)), self._room:
                count = await self._files.put(id, self._pieces(path, seconds))
        except ClientResponseError as error:  # its text holds the address, and so the token
            return CallResult("answered", error.status, error.message.encode())
        except (FileTooLarge, Overloaded, BrokerUnavailable) as error:
            return CallResult("failed", 0, str(error).encode())
        except (ClientError, OSError, TimeoutError) as error:
            return CallResult("failed", 0, f"the file could not be fetched: {type(error).__name__}".encode())
        return CallResult("answered", 200, orjson.dumps({"chunks": count}))

    async def _pieces(self, path: str, seconds: float) -> AsyncIterator[bytes]:
        async for piece in self._stream(path, seconds):
            yield piece
