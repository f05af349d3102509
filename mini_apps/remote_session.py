"""`App.telegram` outside the bot workers: an aiogram `Bot` whose calls travel over Redis.

Loaded only where an app calls Telegram, because aiogram costs 146 MB.
"""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import InputFile
from aiohttp import ClientResponseError, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mini_apps.remote_calls import CallReply, NotFetched, RemoteCalls, Upload
from mini_apps.telegram_session import CallSession

if TYPE_CHECKING:
    from mini_apps.bound import BoundApp

__all__ = ["remote_bot"]

FILES: Final = "remote:/"  # begins the addresses of files at Telegram, which only a bot worker can know


def remote_bot(app: "BoundApp") -> Bot:
    """Make the bot of an app in a process that is not its bot worker.

    Args:
        app: bound to its process.

    Raises:
        RuntimeError: nobody knows yet which bot it is.
    """
    bot_id = app.settings.bot_id or (app.telegram_me.id if app.telegram_me is not None else None)
    if bot_id is None:
        raise RuntimeError(
            f"app {app.name!r} cannot call Telegram: no bot worker has connected to its bot yet; start one, "
            f"or set apps.{app.name}.bot-id"
        )
    session = RemoteSession(RemoteCalls(app.mesh, app.keys))
    return Bot(f"{bot_id}:remote", session=session, default=DefaultBotProperties(parse_mode=app.settings.parse_mode))


class RemoteSession(CallSession):
    """Hands calls and downloads to a bot worker.

    Args:
        calls: the way there.
    """

    def __init__(self, calls: RemoteCalls) -> None:
        super().__init__(api=TelegramAPIServer(base="remote:/{token}/{method}", file=FILES + "{path}"))
        self._calls = calls

    async def make(
        self, bot: Bot, method: str, fields: dict[str, str], files: dict[str, InputFile], limit: float
    ) -> CallReply:
        """Have a bot worker make a call."""
        uploads = [Upload(name, file.filename or name, file.read(bot)) for name, file in files.items()]
        return await self._calls.make(method, fields, uploads, limit)

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,  # noqa: ASYNC109 - aiogram's signature
        chunk_size: int = 65536,
        raise_for_status: bool = True,  # noqa: FBT001, FBT002 - aiogram's signature
    ) -> AsyncGenerator[bytes, None]:
        """Stream a file of Telegram through a bot worker, and any other address directly.

        Raises:
            aiohttp.ClientResponseError: the server answered with an error.
        """
        if not url.startswith(FILES):
            async for piece in super().stream_content(url, headers, timeout, chunk_size, raise_for_status):
                yield piece
            return
        try:
            async for chunk in self._calls.download(url.removeprefix(FILES), timeout):
                for start in range(0, len(chunk), chunk_size):
                    yield chunk[start : start + chunk_size]
        except NotFetched as error:
            nothing: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
            info = RequestInfo(URL(url), "GET", nothing, URL(url))
            raise ClientResponseError(info, (), status=error.status, message=str(error)) from None
