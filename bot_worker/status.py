"""What this worker tells every process about the bot: the hash `{prefix}:{app}:bot`, see `mini_apps.bot_status`.

Several workers may serve one bot. The hash tells of the best of them: who is not running leaves the word to one that
is, and a running worker takes it over from one that died.
"""

import contextlib

from redis.exceptions import RedisError

from mini_apps.bot_status import BotStatus, write_status
from shared.broker import UNREACHABLE, Broker
from shared.keys import AppKeys
from shared.log import get_logger


class Status:
    """The voice of one worker about one bot.

    Args:
        broker: the open broker.
        keys: of the app.
        worker: node id of this process.
    """

    def __init__(self, broker: Broker, keys: AppKeys, worker: str) -> None:
        self._broker = broker
        self._keys = keys
        self._worker = worker
        self._log = get_logger("bot").bind(app=keys.app)
        self.now = BotStatus.Disconnected

    async def tell(self, status: BotStatus, reason: str = "", *, flood_until: int = 0) -> None:
        """Tell the status; silent where Redis is gone, `refresh` makes up for it.

        Args:
            status: from now on.
            reason: one line for people, without secrets.
            flood_until: unix seconds, with `StartFlood`.
        """
        self.now = status
        self._log.info("bot status", status=status.value, **({"reason": reason} if reason else {}))
        with contextlib.suppress(*UNREACHABLE, RedisError):
            if status is BotStatus.Running or not await self._another_runs():
                await self._write(status, reason, flood_until)

    async def refresh(self) -> None:
        """Say again that the bot runs here where the hash says otherwise.

        Raises:
            redis.exceptions.RedisError: Redis did not answer.
        """
        if self.now is BotStatus.Running and not await self._another_runs():
            status, worker = await self._read()
            if (status, worker) != (BotStatus.Running.value, self._worker):
                await self._write(BotStatus.Running, "", 0)

    async def hand_over(self, other: str) -> None:
        """Leave the word to another worker that serves the bot; silent where Redis is gone."""
        with contextlib.suppress(*UNREACHABLE, RedisError):
            status, worker = await self._read()
            if (status, worker) == (BotStatus.Running.value, self._worker):
                await self._broker.own.execute_command("HSET", self._keys.bot, "worker", other)

    async def _another_runs(self) -> bool:
        status, worker = await self._read()
        if status != BotStatus.Running.value or worker in ("", self._worker):
            return False
        return bool(await self._broker.own.execute_command("EXISTS", self._broker.keys.node(worker)))

    async def _read(self) -> tuple[str, str]:
        found = await self._broker.own.execute_command("HMGET", self._keys.bot, "status", "worker")
        status, worker = ((raw or b"").decode() for raw in found)
        return status, worker

    async def _write(self, status: BotStatus, reason: str, flood_until: int) -> None:
        await write_status(
            self._broker.own, self._keys, status, worker=self._worker, reason=reason, flood_until=flood_until
        )
