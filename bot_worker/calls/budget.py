"""The right to make a call: one budget for each bot, shared by all workers, counted in Redis by Redis's clock.

Overall and in each chat a count runs ahead of the clock by one step a message and may be so far ahead at most (GCRA,
so a bucket without a refill); a group remembers its last messages. Bulk calls may run less far ahead than interactive
ones, which therefore find room at once while a broadcast uses all the rest. A script counts for many chats in one
round trip and says when to come back, so nobody asks in vain.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from bot_worker import metrics
from bot_worker.calls.rates import SECOND, Rates, chat_name, is_group
from bot_worker.calls.waiting import Lane, Line, Waiting
from shared.broker import BrokerUnavailable
from shared.bus import Bus
from shared.keys import AppKeys
from shared.scripts import Script
from shared.updates import Overloaded

BATCH: Final = 20  # chats asked for in one round trip
BOUND: Final = 20_000  # calls of one bot that wait in this process; then calls are refused
LONGEST_REST: Final = 5.0  # seconds until Redis is asked again, whatever it said
MOST_SPREAD: Final = 0.1  # seconds
SPREAD: Final = 3.0  # times the rest that was asked for, where one waits
WENT, CHAT_WAITS, LANE_WAITS, CHAT_PAUSED, BOT_PAUSED = range(5)

CLOCK: Final = "local time = redis.call('TIME') local now = time[1] * 1000000 + time[2]"

# KEYS: budget, then a chat's hash and its group's list for each call; ARGV: `Rates.arguments`, then for each call
# letters: c it counts, b bulk, p paid, g group. Returns for each call a verdict and the µs to wait. Numbers are
# written by `%.0f`, because Lua's own text of them has 14 digits. What is too far ahead comes from a clock put back.
ADMIT: Final = """
local function text(number) return string.format('%.0f', number) end
local function ahead(kept, most)
  kept = tonumber(kept or '0')
  return kept > now and kept <= now + most and kept or now
end
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, text(ms)) end
end
local a = {}
for at = 1, 10 do a[at] = tonumber(ARGV[at]) end
local state = redis.call('HMGET', KEYS[1], 'free', 'paid', 'until')
local paused = tonumber(state[3] or '0') - now
local counts = {free = ahead(state[1], a[1] + a[2]), paid = ahead(state[2], a[4] + a[5])}
local changed = false
local reply = {}
local function decide(kinds, chat, group)
  if paused > 0 then return 4, paused end
  if not string.find(kinds, 'c', 1, true) then return 0, 0 end
  local is_group = string.find(kinds, 'g', 1, true)
  local name = string.find(kinds, 'p', 1, true) and 'paid' or 'free'
  local at = name == 'paid' and 4 or 1
  local most = string.find(kinds, 'b', 1, true) and a[at + 2] or a[at + 1]
  local wait = counts[name] - now - most
  if wait > 0 then return 2, wait end
  local kept = redis.call('HMGET', chat, 'next', 'until')
  wait = tonumber(kept[2] or '0') - now
  if wait > 0 then return 3, wait end
  local count = ahead(kept[1], a[7] + a[8])
  wait = count - now - a[8]
  if is_group and a[9] > 0 then
    local oldest = tonumber(redis.call('LINDEX', group, a[9] - 1) or '0')
    if oldest <= now then wait = math.max(wait, oldest + a[10] - now) end
  end
  if wait > 0 then return 1, wait end
  counts[name] = counts[name] + a[at]
  changed = true
  if a[7] > 0 then
    redis.call('HSET', chat, 'next', text(count + a[7]))
    keep(chat, math.ceil((a[7] + a[8]) / 1000))
  end
  if is_group and a[9] > 0 then
    redis.call('LPUSH', group, text(now))
    redis.call('LTRIM', group, 0, a[9] - 1)
    redis.call('PEXPIRE', group, text(a[10] / 1000))
  end
  return 0, 0
end
for at = 11, #ARGV do
  local verdict, wait = decide(ARGV[at], KEYS[2 * at - 20], KEYS[2 * at - 19])
  reply[#reply + 1] = verdict
  reply[#reply + 1] = math.ceil(wait)
end
if changed then
  redis.call('HSET', KEYS[1], 'free', text(counts.free), 'paid', text(counts.paid))
  keep(KEYS[1], 60000)
end
return reply
"""

# KEYS: the hash of a chat or the budget; ARGV: µs. The longest pause counts.
PAUSE: Final = """
local ends = math.max(tonumber(redis.call('HGET', KEYS[1], 'until') or '0'), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', ends))
local ms = math.ceil((ends - now) / 1000)
if redis.call('PTTL', KEYS[1]) < ms then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ms)) end
return 1
"""

_ADMIT: Final = Script(CLOCK + ADMIT)
_PAUSE: Final = Script(CLOCK + PAUSE)


class TooLate(Exception):
    """The call may not be made before its deadline; nothing was sent."""


@dataclass(eq=False, slots=True)
class _Call:
    deadline: float | None
    admitted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Budget:
    """The budget of one bot, as one process uses it.

    Calls of one chat go in the order in which they came, in each of the two lanes. The task that asks Redis lives
    only while somebody waits.

    Args:
        bus: the open bus; its connection carries the scripts.
        keys: of the app.
        rates: the limits.
        bound: calls that may wait here.
    """

    def __init__(self, bus: Bus, keys: AppKeys, rates: Rates | None = None, *, bound: int = BOUND) -> None:
        self._bus = bus
        self._keys = keys
        self._rates = (rates or Rates()).arguments()
        self._bound = bound
        self._waiting: Waiting[_Call] = Waiting()
        self._news = asyncio.Event()
        self._asker: asyncio.Task[None] | None = None
        self._paused = 0.0  # the end of the whole bot's pause, as Redis said last

    async def admit(
        self, chat: int | str | None, *, bulk: bool = False, paid: bool = False, deadline: float | None = None
    ) -> None:
        """Wait until a call may be made.

        Args:
            chat: where its message goes; None for a method that sends none: only a pause of the whole bot stops it.
            bulk: stay behind the interactive calls.
            paid: it has `allow_paid_broadcast`.
            deadline: in the loop's time; None waits as long as it takes.

        Raises:
            TooLate: not before the deadline; the call must not be made.
            Overloaded: too many calls wait in this process.
            BrokerUnavailable: Redis did not answer; it may be tried again.

        Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
        """
        app, lane = self._keys.app, Lane.of(counts=chat is not None, bulk=bulk, paid=paid)
        name = "" if chat is None else chat_name(chat)
        if len(self._waiting) >= self._bound:
            metrics.budget_refused.labels(app, "overloaded").inc()
            raise Overloaded(f"app {app!r}: {self._bound} Bot API calls already wait for the rate budget")
        call = _Call(deadline)
        began = perf_counter()
        with self._standing(lane, name, call):
            try:
                async with asyncio.timeout_at(deadline):
                    await call.admitted
            except TimeoutError:
                if not call.admitted.done() or call.admitted.cancelled():
                    metrics.budget_refused.labels(app, "too_late").inc()
                    raise TooLate("the rate budget has no room for this call before its deadline") from None
                call.admitted.result()
        metrics.budget_wait.labels(app, _label(lane)).observe(perf_counter() - began)

    async def pause(self, seconds: float, chat: int | str | None) -> None:
        """Let nobody send to a chat for a while, in no worker.

        Args:
            seconds: as Telegram asks, `parameters.retry_after`.
            chat: None for the whole bot.

        Raises:
            BrokerUnavailable: Redis did not confirm it; it may be repeated.

        Source: https://core.telegram.org/bots/api#responseparameters
        """
        what = "bot" if chat is None else "chat"
        metrics.budget_pauses.labels(self._keys.app, what).inc()
        metrics.budget_paused.labels(self._keys.app, what).inc(max(0.0, seconds))
        key = self._keys.budget if chat is None else self._keys.budget_chat(chat_name(chat))
        await _PAUSE.run(self._bus, (key,), int(max(0.0, seconds) * SECOND))

    @contextlib.contextmanager
    def _standing(self, lane: Lane, name: str, call: _Call) -> Iterator[None]:
        waiting = metrics.budget_waiting.labels(self._keys.app, _label(lane))
        line = self._waiting.add(lane, name, call)
        _too_late(line, max(line.paused, self._paused))
        waiting.inc()
        self._news.set()
        if self._asker is None or self._asker.done():
            self._asker = asyncio.create_task(self._ask_on(), name="budget")
        try:
            yield
        finally:
            waiting.dec()
            self._waiting.remove(lane, name, call)
            if not self._waiting and self._asker is not None:
                self._news.set()  # nobody waits: let the asker see it and end

    async def _ask_on(self) -> None:
        """Ask Redis for those who wait, until nobody does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            lines = self._waiting.take(loop.time(), BATCH)
            if lines:
                await self._ask(lines)
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._waiting.next()):
                    await self._news.wait()

    async def _ask(self, lines: list[Line[_Call]]) -> None:
        chats = [(self._keys.budget_chat(line.chat), self._keys.budget_group(line.chat)) for line in lines]
        keys = [self._keys.budget, *(key for pair in chats for key in pair)]
        try:
            reply = await _ADMIT.run(self._bus, keys, *self._rates, *map(_kinds, lines))
        except BrokerUnavailable as error:
            for call in self._waiting.drop(lines):
                _refuse(call, BrokerUnavailable(str(error)))
            return
        self._settle(lines, reply)

    def _settle(self, lines: list[Line[_Call]], reply: Sequence[int]) -> None:
        """Do with each line what Redis said."""
        now = asyncio.get_running_loop().time()
        held: dict[Lane, list[Line[_Call]]] = {}
        rests: dict[Lane, float] = {}
        for line, verdict, wait in zip(lines, reply[::2], reply[1::2], strict=True):
            rest = min(wait / SECOND, LONGEST_REST)
            self._paused = now + wait / SECOND if verdict == BOT_PAUSED else 0.0
            line.paused = now + wait / SECOND if verdict == CHAT_PAUSED else 0.0
            _too_late(line, max(line.paused, self._paused))
            if verdict == WENT:
                for call in self._waiting.went(line):
                    _let_go(call)
            elif verdict in (CHAT_WAITS, CHAT_PAUSED):
                self._waiting.rest(line, now + rest)
            else:
                held.setdefault(line.lane, []).append(line)
                rests.setdefault(line.lane, rest)
        for lane, back in held.items():
            self._waiting.hold(back, now + rests[lane] + self._spread(rests[lane]))

    def _spread(self, rest: float) -> float:
        """Return by how much to come back later: shares the budget among workers by how many wait in each.

        Whoever comes first gets what there is, and of exponential times the shortest falls to each by its rate. What
        the budget gains meanwhile is not lost.
        """
        return min(MOST_SPREAD, random.expovariate(1.0) * SPREAD * min(rest, MOST_SPREAD) / max(1, len(self._waiting)))


def _kinds(line: Line[_Call]) -> str:
    lane = line.lane
    if lane is Lane.FREE:
        return "-"
    return "c" + "b" * lane.bulk + "p" * lane.paid + "g" * is_group(line.chat)


def _label(lane: Lane) -> str:
    return "free" if lane is Lane.FREE else "bulk" if lane.bulk else "interactive"


def _let_go(call: _Call) -> None:
    if not call.admitted.done():
        call.admitted.set_result(None)


def _refuse(call: _Call, error: Exception) -> None:
    if not call.admitted.done():
        call.admitted.set_exception(error)
        call.admitted.exception()  # a caller that is being cancelled must not leave a warning behind


def _too_late(line: Line[_Call], until: float) -> None:
    """Refuse those at once whose deadline comes before the end of a pause."""
    for call in line.waiting:
        if call.deadline is not None and call.deadline < until:
            _refuse(call, TooLate("Telegram asked for a pause that ends after this call's deadline"))
