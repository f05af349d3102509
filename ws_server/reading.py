"""From the bytes of one frame to what the client said."""

from typing import Any

from shared import messages
from shared.codec import DecodeError, decode_json, decode_msgpack
from shared.messages import ClientMessage, MessageError


class WrongFrame(Exception):
    """The connection ends with 4503; the text says why."""


def read(data: bytes, *, text: bool, packed: bool) -> ClientMessage | dict[str, Any]:
    """Return the client's message, or the `error` that answers its mistake.

    Args:
        data: of the frame.
        text: whether it was a text frame.
        packed: whether the connection speaks msgpack.

    Raises:
        WrongFrame: a frame of the other kind, or a text frame that is not UTF-8.
    """
    if text is packed:
        kinds = ("binary", "text") if packed else ("text", "binary")
        raise WrongFrame(f"this connection speaks {kinds[0]} frames, not {kinds[1]} ones")
    try:
        return messages.parse(decode_msgpack(data) if packed else decode_json(data))
    except DecodeError as error:
        if text and not _is_utf8(data):
            raise WrongFrame("text frames are UTF-8") from None
        return messages.error(str(error), "format")
    except MessageError as error:
        return messages.error(str(error), error.code, error.id)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
