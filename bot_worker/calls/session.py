"""The aiogram session of the bot that a worker gives its app: calls go through the `Caller`.

In a hook each call has an id that its next try finds again, for longer than an update is tried; outside hooks nobody
could ask for it a second time, unless the caller gave it one.
"""

from aiogram import Bot
from aiogram.types import BufferedInputFile, InputFile

from bot_worker.calls.caller import Caller, Request
from bot_worker.calls.hooks import current_try
from bot_worker.calls.http import Upload
from mini_apps.remote_calls import CallReply
from mini_apps.telegram_session import CallSession
from shared.call_id import KEEP_SECONDS, given_id


class WorkerSession(CallSession):
    """Makes the calls of hooks and server tasks in this worker."""

    caller: Caller  # set once it is there: it posts through this session's connections

    async def make(
        self, bot: Bot, method: str, fields: dict[str, str], files: dict[str, InputFile], limit: float
    ) -> CallReply:
        """Make a call."""
        uploads = {name: _upload(name, file, bot) for name, file in files.items()}
        id, hook = given_id(), current_try()
        if not id and hook is not None:
            id = hook.next_id(method, fields, {name: _shown(file) for name, file in files.items()})
        return await self.caller.call(Request(method, fields, uploads, id=id, seconds=limit, keep=KEEP_SECONDS))


def _upload(name: str, file: InputFile, bot: Bot) -> Upload:
    return Upload(file.filename or name, lambda: file.read(bot))


def _shown(file: InputFile) -> str:
    """Recognise a file without reading it from a disk or a network."""
    size = len(file.data) if isinstance(file, BufferedInputFile) else 0
    return f"{type(file).__name__} {file.filename} {size}"
