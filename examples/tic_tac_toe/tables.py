"""Where games are kept: one Redis key for each, changed by compare and swap, so that of two moves at once one loses.

| key | type | what | bound |
|---|---|---|---|
| `own:game:{id}` | string, JSON | a game | a day after its last change |
| `own:games:{telegram id}` | sorted set by unix seconds | a player's games | the last 10; a day |
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from examples.tic_tac_toe.game import Game, Player, ask
from mini_apps import AppError
from shared.broker import reaching

if TYPE_CHECKING:
    from mini_apps import App

__all__ = ["Tables", "is_room", "room_of"]

LIFE_SECONDS: Final = 86_400  # of a game nobody touches
REMEMBERED: Final = 10  # games of one player
TRIES: Final = 20  # each time another change was faster
ID: Final = re.compile(r"[gr][A-Za-z0-9_-]{12,16}")

# Redis runs a script as one step. What is compared is the whole game, so a change is made to what it was decided on.
SWAP: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class Tables:
    """The games of an app.

    Args:
        app: whose Redis and keys it uses.
    """

    def __init__(self, app: "App") -> None:
        self._app = app

    async def find(self, id: str) -> Game:
        """Return a game as it stands; the table of a group is there before anybody sits at it.

        Raises:
            AppError: there is none, or none any more (`gone`).
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            found: Any = await self._app.redis.get(self._key(id))
        return _read(id, found)

    async def change(self, id: str, decide: Callable[[Game], Game]) -> Game:
        """Change a game in one step, whoever else does.

        Args:
            id: of the game.
            decide: gives the next game; may run several times, and may raise to leave all as it is.

        Returns:
            The game after the change.

        Raises:
            AppError: there is no such game (`gone`), it changes all the time (`busy`), or what `decide` says.
            BrokerUnavailable: Redis did not answer; the change may have been made.
        """
        redis, key = self._app.redis, self._key(id)
        for _ in range(TRIES):
            with reaching():
                found: Any = await redis.get(key)
            before = _read(id, found)
            after = decide(before)
            if after is before:
                return before
            after = replace(after, version=before.version + 1)
            with reaching():
                swapped: Any = redis.eval(SWAP, 1, key, found or b"", _written(after), LIFE_SECONDS)
                if await swapped:
                    return after
        raise AppError("Everybody moves at once, try again", code="busy")

    async def open(self, who: Player) -> Game:
        """Return the game a player has open for a guest, or open one: pressing twice makes one game.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        for game in await self.of(who.id):
            if game.status == "waiting" and not is_room(game.id) and game.host is not None and game.host.id == who.id:
                return game
        id = "g" + secrets.token_urlsafe(9)
        game = ask(Game(id, version=1), who)
        with reaching():
            await self._app.redis.set(self._key(id), _written(game), ex=LIFE_SECONDS)
        await self.remember(who.id, id)
        return game

    async def of(self, telegram_id: int) -> list[Game]:
        """Return the games a player has or had part in, the newest first.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        with reaching():
            members: list[Any] = await self._app.redis.zrevrange(self._games(telegram_id), 0, -1)
            ids = [member.decode() for member in members]
            found: list[Any] = await self._app.redis.mget([self._key(id) for id in ids]) if ids else []
        games = [_read(id, raw) for id, raw in zip(ids, found, strict=True) if raw]
        return [game for game in games if game.plays(telegram_id)]

    async def remember(self, telegram_id: int, id: str) -> None:
        """Put a game among those of a player, of whose games the oldest is forgotten.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        key = self._games(telegram_id)
        with reaching():
            async with self._app.redis.pipeline(transaction=True) as pipe:
                pipe.zadd(key, {id: time.time()})
                pipe.zremrangebyrank(key, 0, -REMEMBERED - 1)
                pipe.expire(key, LIFE_SECONDS)
                await pipe.execute()

    def _key(self, id: str) -> str:
        return self._app.key(f"game:{id}")

    def _games(self, telegram_id: int) -> str:
        return self._app.key(f"games:{telegram_id}")


def is_room(id: str) -> bool:
    """Tell whether a game is the table of a group."""
    return id.startswith("r")


def room_of(launch: dict[str, Any] | None) -> str | None:
    """Return the id of the group's table, from what Telegram signed: only who opened the link in the group knows it.

    Source: https://core.telegram.org/bots/webapps#webappinitdata

    Args:
        launch: the launch fields of a login.
    """
    launch = launch or {}
    if launch.get("chat_type") not in ("group", "supergroup") or not launch.get("chat_instance"):
        return None
    return "r" + hashlib.sha256(str(launch["chat_instance"]).encode()).hexdigest()[:16]


def _read(id: str, raw: bytes | None) -> Game:
    if raw is None and is_room(id):
        return Game(id)
    if raw is None:
        raise AppError("This game is over. Start a new one!", code="gone")
    fields = json.loads(raw)
    for name in ("host", "guest", "left"):
        fields[name] = Player(**fields[name]) if fields[name] else None
    fields["asking"] = tuple(Player(**player) for player in fields["asking"])
    for name in ("declined", "wins", "again"):
        fields[name] = tuple(fields[name])
    return Game(**fields)


def _written(game: Game) -> bytes:
    return json.dumps(asdict(game), separators=(",", ":")).encode()
