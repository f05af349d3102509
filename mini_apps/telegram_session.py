"""The aiogram session of every bot of the project: what a method needs to travel, and what comes of the answer.

Loaded only where an app calls Telegram, because aiogram costs 146 MB.
"""

import abc
import functools
import ssl
from typing import Any, cast

import certifi
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramEntityTooLarge, TelegramNetworkError
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InputFile
from aiohttp import TCPConnector

from mini_apps.remote_calls import CallReply
from shared.bot_methods import OWNED
from shared.call_files import FileTooLarge
from shared.calls import NotMade

__all__ = ["CallSession", "LeanSession", "MethodRefused"]

_answers: dict[Any, Any] = {}  # what Telegram answers, by what is in it


class MethodRefused(RuntimeError):
    """The method is the project's own business; the text says what to do in its place."""


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


class LeanSession(AiohttpSession):
    """aiogram's session without what it does again for each bot and each call.

    Args:
        proxy: as aiogram's.
        limit: connections at a time; 0 for no limit.
        **more: as aiogram's.
    """

    def __init__(self, proxy: Any = None, limit: int = 100, **more: Any) -> None:
        if proxy is not None:
            super().__init__(proxy, limit, **more)
            return
        BaseSession.__init__(self, **more)  # aiogram's own reads all certificates from the disk, 40 ms a session
        self._session = None
        self._connector_type = TCPConnector
        self._connector_init = {"ssl": _certificates(), "limit": limit, "ttl_dns_cache": 3600}
        self._should_reset_connector = True
        self._proxy = None

    async def close(self) -> None:
        """Close the connections, without aiogram's quarter of a second for TLS where none was spoken."""
        if self.api.base.startswith("https:"):
            await super().close()
        elif self._session is not None:
            await self._session.close()

    def check_response(self, bot: Bot, method: TelegramMethod[Any], status_code: int, content: str) -> Response[Any]:
        """Check an answer as aiogram does."""
        kind = method.__returning__
        if kind not in _answers:  # or pydantic forgets the type when nobody uses it, and makes it anew, 5 ms a call
            _answers[kind] = Response[kind]  # type: ignore[valid-type]  # a type known only here
        return super().check_response(bot, method, status_code, content)


class CallSession(LeanSession):
    """Prepares methods, has them made in the way of the process, and checks the answers as aiogram does."""

    @abc.abstractmethod
    async def make(
        self, bot: Bot, method: str, fields: dict[str, str], files: dict[str, InputFile], limit: float
    ) -> CallReply:
        """Make a call.

        Args:
            bot: who calls.
            method: of the Bot API.
            fields: as texts.
            files: by the name of their part.
            limit: seconds until the call is not made any more, or given up.

        Raises:
            NotMade: it was not made.
            FileTooLarge: a file has more than 50 MB.
        """

    async def make_request(
        self,
        bot: Bot,
        method: TelegramMethod[TelegramType],
        timeout: int | None = None,  # noqa: ASYNC109 - aiogram's signature
    ) -> TelegramType:
        """Make a call and return its result (aiogram's hook).

        Raises:
            aiogram.exceptions.TelegramAPIError: Telegram's refusal; `TelegramNetworkError` where it was not made.
            OutcomeUnknown: it may have been made.
            MethodRefused: the project makes these calls itself.
        """
        name = method.__api_method__
        if name in OWNED:
            raise MethodRefused(f"{name} is not for apps: {OWNED[name]}")
        fields, files = self.prepared(bot, method)
        try:
            reply = await self.make(bot, name, fields, files, self.timeout if timeout is None else timeout)
        except NotMade as error:
            raise TelegramNetworkError(method, str(error)) from None
        except FileTooLarge as error:
            raise TelegramEntityTooLarge(method, str(error)) from None
        content = reply.body.decode("utf-8", "replace")
        return cast("TelegramType", self.check_response(bot, method, reply.status, content).result)

    def prepared(self, bot: Bot, method: TelegramMethod[Any]) -> tuple[dict[str, str], dict[str, InputFile]]:
        """Return a method's fields as texts, and its files by the name of their part."""
        files: dict[str, InputFile] = {}
        fields: dict[str, str] = {}
        for name, value in method.model_dump(warnings=False).items():
            text = self.prepare_value(value, bot=bot, files=files)
            if text:
                fields[name] = text
        return fields, files

    def prepare_value(self, value: Any, bot: Bot, files: dict[str, Any], _dumps_json: bool = True) -> Any:  # noqa: FBT001, FBT002 - aiogram's signature
        """Prepare a value as aiogram does, but count the files: the same call then looks the same each time."""
        if isinstance(value, InputFile):
            name = f"file{len(files)}"
            files[name] = value
            return f"attach://{name}"
        return super().prepare_value(value, bot, files, _dumps_json)
