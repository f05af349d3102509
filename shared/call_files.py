"""Files on their way between a process and Telegram: chunks in Redis, for minutes, within a budget of bytes.

Guarantee: a file is complete or not there: who reads it knows the number of chunks, and one that is missing is an
error. What nobody fetches is gone after its time, and its bytes are free again.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from shared.broker import Broker, BrokerUnavailable, reaching
from shared.keys import AppKeys
from shared.scripts import Script
from shared.updates import Overloaded

CHUNK_BYTES: Final = 262_144
FILE_SECONDS: Final = 600
FILE_BYTES: Final = 50 * 1024 * 1024  # Telegram's own limit for what a bot sends
"""The largest file that travels."""

# KEYS: files, bytes of each, the file; ARGV: its id, number of the chunk, chunk, budget, life in ms. Returns 0 where
# the budget has no room. A chunk that is there counts once, so a repeat is safe.
PUT: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('HINCRBY', KEYS[2], 'all', -(tonumber(redis.call('HGET', KEYS[2], 'of:' .. id) or '0')))
  redis.call('HDEL', KEYS[2], 'of:' .. id)
  redis.call('ZREM', KEYS[1], id)
end
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then return 1 end
local all = tonumber(redis.call('HGET', KEYS[2], 'all') or '0')
if tonumber(ARGV[4]) > 0 and all + #ARGV[3] > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
redis.call('ZADD', KEYS[1], now + ARGV[5], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'of:' .. ARGV[1], #ARGV[3])
redis.call('HINCRBY', KEYS[2], 'all', #ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
""")

# KEYS: as above; ARGV: its id.
DROP: Final = Script("""
redis.call('UNLINK', KEYS[3])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'all', -(tonumber(redis.call('HGET', KEYS[2], 'of:' .. ARGV[1]) or '0')))
redis.call('HDEL', KEYS[2], 'of:' .. ARGV[1])
return 1
""")


class FileTooLarge(Exception):
    """More bytes than may travel."""


class FileGone(Exception):
    """Not all chunks are there: the file waited too long."""


class CallFiles:
    """The files of one app's calls.

    Args:
        broker: its pool carries the chunks, so that live messages do not wait behind them.
        keys: of the app.
        budget: bytes that all files of the app may have together; 0 for no limit.
    """

    def __init__(self, broker: Broker, keys: AppKeys, budget: int) -> None:
        self._broker = broker
        self._keys = keys
        self._budget = budget

    async def put(self, id: str, stream: AsyncIterator[bytes]) -> int:
        """Write a file; where that fails nothing of it stays.

        Args:
            id: unique in the app.
            stream: its bytes, in pieces of any size.

        Returns:
            How many chunks it has.

        Raises:
            FileTooLarge: more than 50 MB.
            Overloaded: the files of the app that wait have as many bytes as they may.
            BrokerUnavailable: Redis did not take it.
        """
        count = 0
        try:
            async for chunk in _chunks(stream):
                await self._write(id, count, chunk)
                count += 1
        except BaseException:
            await self.drop(id)
            raise
        return count

    async def _write(self, id: str, number: int, chunk: bytes) -> None:
        with reaching():
            done = await PUT.ask(
                self._broker.client, self._names(id), id, number, chunk, self._budget, FILE_SECONDS * 1000
            )
        if not done:
            raise Overloaded(
                f"app {self._keys.app!r}: files of {self._budget} bytes already wait for Telegram; "
                "see bot.call-file-bytes"
            )

    async def check(self, id: str, count: int) -> None:
        """Make sure that a file is there.

        Raises:
            FileGone: it is not.
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            found = await self._broker.client.hlen(self._keys.call_file(id))
        if found != count:
            raise FileGone(f"{found} of {count} chunks of a file are there: it waited longer than {FILE_SECONDS} s")

    async def read(self, id: str, count: int) -> AsyncIterator[bytes]:
        """Give the chunks of a file.

        Raises:
            FileGone: one is missing.
            BrokerUnavailable: Redis did not answer.
        """
        for number in range(count):
            with reaching():
                chunk: Any = await self._broker.client.hget(self._keys.call_file(id), str(number))
            if chunk is None:
                raise FileGone(f"chunk {number} of {count} of a file is gone: it waited longer than {FILE_SECONDS} s")
            yield chunk

    async def drop(self, id: str) -> None:
        """Forget a file; where Redis is gone, its time ends."""
        with contextlib.suppress(BrokerUnavailable), reaching():
            await DROP.ask(self._broker.client, self._names(id), id)

    def _names(self, id: str) -> list[str]:
        return [self._keys.call_files, self._keys.call_file_bytes, self._keys.call_file(id)]


async def _chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into chunks of one size, the last one shorter; a file without bytes has none."""
    held, size = bytearray(), 0
    async for piece in stream:
        size += len(piece)
        if size > FILE_BYTES:
            raise FileTooLarge(f"a file has more than {FILE_BYTES >> 20} MB, which does not travel")
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
