"""One try of a Bot API call over HTTP, and what its failure says: was anything sent?

Source: https://core.telegram.org/bots/api#making-requests
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, ConnectionTimeoutError, FormData

from mini_apps.remote_calls import CallReply

CONNECT_SECONDS = 10.0


class NotSent(Exception):
    """No byte of the call left this machine, or none that Telegram could act on; it may be made again."""


class MaybeSent(Exception):
    """The call may have arrived."""


@dataclass(slots=True)
class Upload:
    """A file to send, read anew at each try.

    Attributes:
        filename: for Telegram.
        read: gives its bytes.
        error: why the last try could not read it.
    """

    filename: str
    read: Callable[[], AsyncIterator[bytes]]
    error: Exception | None = field(default=None)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give the bytes; a failure ends the request before its end, so that Telegram refuses it."""
        try:
            async for piece in self.read():
                yield piece
        except Exception as error:
            self.error = error
            raise


async def post(
    client: ClientSession, url: str, fields: Mapping[str, str], files: Mapping[str, Upload], seconds: float
) -> CallReply:
    """Make a call once.

    Args:
        client: open.
        url: of the method, token included; no error repeats it.
        fields: as texts.
        files: by the name of their part.
        seconds: until the answer must be here.

    Raises:
        NotSent: nothing happened.
        MaybeSent: nobody knows.
        Exception: what reading a file raised; nothing happened.
    """
    timeout = ClientTimeout(total=max(0.001, seconds), sock_connect=CONNECT_SECONDS)
    try:
        async with client.post(url, data=_form(fields, files), timeout=timeout, allow_redirects=False) as response:
            return CallReply(response.status, await response.read())
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise NotSent(f"Telegram's server cannot be reached: {type(error).__name__}") from None
    except (TimeoutError, ClientError, OSError) as error:
        unread = next((upload.error for upload in files.values() if upload.error is not None), None)
        if unread is not None:
            raise unread from None
        text = f"no answer within {seconds:.3g} s" if isinstance(error, TimeoutError) else type(error).__name__
        raise MaybeSent(f"the connection to Telegram's server broke: {text}") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("aiohttp_socks", "python_socks"):  # an optional package
            raise NotSent(f"the proxy cannot be used: {type(error).__name__}") from None
        raise


def _form(fields: Mapping[str, str], files: Mapping[str, Upload]) -> FormData | Mapping[str, str]:
    """Return a plain form where there is no file, which is shorter and quicker to make."""
    if not files:
        return fields
    form = FormData(quote_fields=False)
    for name, value in fields.items():
        form.add_field(name, value)
    for name, file in files.items():
        file.error = None
        form.add_field(name, file.stream(), filename=file.filename)
    return form
