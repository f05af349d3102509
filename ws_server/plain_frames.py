"""The frames nearly every client sends: whole, masked, and with nothing negotiated."""

from websockets.frames import Frame, Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library was installed without its C part
    from websockets.utils import apply_mask

_MASKED = 0x80
_CONTROL = 0x88
_OPCODES = {0x81: Opcode.TEXT, 0x82: Opcode.BINARY, 0x89: Opcode.PING, 0x8A: Opcode.PONG}  # by the first byte, with FIN

PING = b"\x89\x00"


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping, whose payload has at most 125 bytes."""
    return bytes((0x8A, len(payload))) + payload


def plain_frames(data: bytes, limit: int | None) -> tuple[list[Frame], int]:
    """Read the client's frames at the start of `data` that are whole and in no way special.

    Args:
        data: from where a frame begins.
        limit: most bytes of a message; None for any.

    Returns:
        The frames, and how many bytes they take; what is behind them is the library's to judge.
    """
    frames: list[Frame] = []
    at, size = 0, len(data)
    while size - at >= 6:  # two bytes of a head and four of a mask
        opcode, length, body = _OPCODES.get(data[at]), data[at + 1] ^ _MASKED, at + 6
        if opcode is None or length > 126:  # not masked, or 64 KiB and more
            break
        if length == 126:  # the length is in the next two bytes
            length, body = data[at + 2] << 8 | data[at + 3], at + 8
            if data[at] >= _CONTROL:  # too long for one
                break
        end = body + length
        if end > size or (limit is not None and length > limit):
            break
        frames.append(Frame(opcode, apply_mask(data[body:end], data[body - 4 : body])))
        at = end
    return frames, at
