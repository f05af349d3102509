"""Bot API calls on their way from any process to a bot worker, and their results on the way back.

Guarantee: a call is appended once Redis has it; it is made at most once, by the worker that claims its id, and not
after its deadline. Its result is announced to the process that asked and kept for a while under its id, because an
announcement can be lost. `bot_worker.calls` is the other end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import orjson
from prometheus_client import Counter

from shared.bus import Bus
from shared.keys import AppKeys
from shared.scripts import Script
from shared.updates import Overloaded

CALLS_BOUND: Final = 10_000  # calls of one app that wait in a stream, then new ones are refused
MOST_SECONDS: Final = 86_400.0  # a call may wait
RESULT_SECONDS: Final = 300  # a result is kept after the deadline, for who missed its announcement

Outcome = Literal["answered", "unknown", "failed", "late", "cancelled"]
OUTCOMES: Final[frozenset[str]] = frozenset(get_args(Outcome))

# KEYS: stream, done; ARGV: bound, ms until the deadline, then the entry's fields. Returns nothing at the bound. The
# deadline is by Redis's clock, which is the only one that all processes share. A call that was not made under this id
# may be asked for again.
SUBMIT = Script("""
if tonumber(ARGV[1]) > 0 and redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
local state = redis.call('HGET', KEYS[2], 'state')
if state == 'cancelled' or state == 'late' or state == 'failed' then redis.call('DEL', KEYS[2]) end
local time = redis.call('TIME')
local deadline = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
return redis.call('XADD', KEYS[1], '*', 'deadline', string.format('%.0f', deadline), unpack(ARGV, 3))
""")

# KEYS: stream, done; ARGV: entry or nothing, life in ms. Returns the state of a call that a worker has already
# claimed; any other is not made from now on.
WITHDRAW = Script("""
local known = redis.call('HMGET', KEYS[2], 'state', 'status', 'body')
if known[1] then return known end
redis.call('HSET', KEYS[2], 'state', 'cancelled', 'status', '0', 'body', '')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if ARGV[1] ~= '' then redis.call('XDEL', KEYS[1], ARGV[1]) end
return false
""")

submitted = Counter(
    "mini_apps_calls_submitted", "Bot API calls given to the bot workers: taken, overloaded", ["outcome"]
)


class NotMade(Exception):
    """The call was not made, and will not be; the text says why."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of a call, whose bytes are in Redis.

    Attributes:
        name: of the form's part, which the fields name as `attach://…`.
        filename: for Telegram.
        id: in Redis.
        chunks: how many there are.
    """

    name: str
    filename: str
    id: str
    chunks: int


@dataclass(frozen=True, slots=True)
class CallEntry:
    """A call as it lies in a stream.

    Attributes:
        id: of the call, unique in the app.
        method: of the Bot API.
        fields: as texts, JSON where Telegram wants JSON.
        node: who waits for the result; empty for nobody.
        trace: correlation id.
        files: whose bytes are in Redis.
        deadline: unix ms by Redis's clock; set when it is appended.
        keep: seconds for which its result is kept under its id, where others may ask for it; else briefly.
    """

    id: str
    method: str
    fields: Mapping[str, str]
    node: str = ""
    trace: str = ""
    files: tuple[FileRef, ...] = ()
    deadline: int = 0
    keep: int = 0


@dataclass(frozen=True, slots=True)
class CallResult:
    """What became of a call.

    Attributes:
        outcome: `answered` by Telegram; `unknown` whether it was made; or not made: `failed`, `late`, `cancelled`.
        status: of the HTTP answer, else 0.
        body: Telegram's JSON, byte by byte, else the reason as text.
    """

    outcome: Outcome
    status: int = 0
    body: bytes = b""

    @property
    def reason(self) -> str:
        """Why there is no answer, for people."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a call under its id: its result, or that `worker` is at it."""

    result: CallResult | None
    worker: str = field(default="")


def pack_entry(entry: CallEntry) -> list[str | bytes]:
    """Return the fields and values of a stream entry, but the deadline."""
    files = [[file.name, file.filename, file.id, file.chunks] for file in entry.files]
    fields: dict[str, str | bytes] = {
        "id": entry.id,
        "method": entry.method,
        "fields": orjson.dumps(entry.fields),
        "files": orjson.dumps(files) if files else b"",
        "node": entry.node,
        "trace": entry.trace,
        "keep": str(entry.keep) if entry.keep else "",
    }
    return [part for pair in fields.items() if pair[1] for part in pair]


def unpack_entry(raw: Mapping[bytes, bytes]) -> CallEntry:
    """Return the call in a stream entry.

    Raises:
        ValueError: it is none of this version.
    """
    try:
        files = orjson.loads(raw.get(b"files") or b"[]")
        return CallEntry(
            id=raw[b"id"].decode(),
            method=raw[b"method"].decode(),
            fields=orjson.loads(raw[b"fields"]),
            node=raw.get(b"node", b"").decode(),
            trace=raw.get(b"trace", b"").decode(),
            files=tuple(FileRef(*file) for file in files),
            deadline=int(raw[b"deadline"]),
            keep=int(raw.get(b"keep", b"0")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a call of this version: {type(error).__name__}") from None


def pack_result(result: CallResult) -> bytes:
    """Return the announcement of a result."""
    return b"%b %d\n%b" % (result.outcome.encode(), result.status, result.body)


def unpack_result(payload: bytes) -> CallResult:
    """Return the result in an announcement.

    Raises:
        ValueError: it is none.
    """
    head, _, body = payload.partition(b"\n")
    outcome, _, status = head.partition(b" ")
    return _result(outcome, status, body)


def known_state(raw: Iterable[Any]) -> State | None:
    """Return what a hash `done` tells.

    Args:
        raw: its fields `state`, `status`, `body` and perhaps `worker`.

    Raises:
        ValueError: it tells nothing sensible.
    """
    state, status, body, *worker = raw
    if not state:
        return None
    who = (worker[0] or b"").decode() if worker else ""
    return State(None, who) if state == b"claimed" else State(_result(state, status or b"0", body or b""), who)


class CallQueue:
    """The end of the streams of calls where they come in.

    Args:
        bus: carries the scripts, so that those of one loop turn share a round trip.
        keys: of the app.
        bound: calls that may wait in a stream; 0 for no limit.
    """

    def __init__(self, bus: Bus, keys: AppKeys, *, bound: int = CALLS_BOUND) -> None:
        self._bus = bus
        self._keys = keys
        self._bound = bound

    async def submit(self, entry: CallEntry, seconds: float, *, bulk: bool = False) -> bytes:
        """Append a call.

        Args:
            entry: the call; its own deadline counts for nothing.
            seconds: until its deadline.
            bulk: behind the interactive calls.

        Returns:
            The id of the stream's entry.

        Raises:
            Overloaded: too many calls wait.
            BrokerUnavailable: Redis did not confirm it; it may be repeated under the same id.
        """
        key = self._keys.calls_bulk if bulk else self._keys.calls
        life = int(min(seconds, MOST_SECONDS) * 1000)
        keys = (key, self._keys.call_done(entry.id))
        found = await SUBMIT.run(self._bus, keys, self._bound, life, *pack_entry(entry), replicated=True)
        if found is None:
            submitted.labels("overloaded").inc()
            raise Overloaded(
                f"app {self._keys.app!r}: {self._bound} Bot API calls already wait; does a bot worker make them?"
            )
        submitted.labels("taken").inc()
        return bytes(found)

    async def withdraw(self, entry: bytes, id: str, seconds: float, *, bulk: bool = False) -> State | None:
        """See to it that a call nobody has begun is not made.

        Args:
            entry: in the stream; empty where it is not known.
            id: of the call.
            seconds: how long a worker must find that it was withdrawn.
            bulk: which stream.

        Returns:
            None where it is withdrawn; else what is known of it.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        keys = (self._keys.calls_bulk if bulk else self._keys.calls, self._keys.call_done(id))
        raw = await WITHDRAW.run(self._bus, keys, entry, int((seconds + RESULT_SECONDS) * 1000))
        return None if raw is None else known_state(raw)

    async def look(self, id: str) -> State | None:
        """Return what is known of a call, None where no worker has begun with it.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return known_state(await self._bus.call("HMGET", self._keys.call_done(id), "state", "status", "body", "worker"))


def _result(outcome: bytes, status: bytes, body: bytes) -> CallResult:
    name = outcome.decode()
    if name not in OUTCOMES:
        raise ValueError("not the result of a call")
    return CallResult(name, int(status), body)  # type: ignore[arg-type]  # it is one of the outcomes
