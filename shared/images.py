"""What a picture is by its bytes: its kind, its size in pixels, where it ends, and whether all of it is there.

Only the frame around the pixels is read, never the pixels: nothing here decodes what a stranger sent. What stands
behind a picture's own end (another file, a script) does not belong to it. Sources: https://www.w3.org/TR/png-3/,
https://www.w3.org/Graphics/JPEG/itu-t81.pdf annex B, https://www.w3.org/Graphics/GIF/spec-gif89a.txt,
https://developers.google.com/speed/webp/docs/riff_container
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["KINDS", "MOST_PIXELS", "BadImage", "Image", "identify"]

KINDS: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}  # by suffix
MOST_PIXELS: Final = 64_000_000  # what a large phone makes; more would fill the memory of whoever looks at it
LONGEST_SIDE: Final = 16_384

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # JPEG markers that tell the size
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # JPEG markers without a length
_END: Final = 0xD9
_SCAN: Final = 0xDA
_NEXT_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # in a scan; 00 and restarts belong to its data
_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B


class BadImage(ValueError):
    """What was sent is no picture that is taken; the text says why, for people.

    Attributes:
        reason: `type` (no png, jpeg, webp or gif), `broken` (its end is missing, or its frame is wrong), `size` (too
            many pixels, or none).
    """

    def __init__(self, reason: Literal["type", "broken", "size"], text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """A picture.

    Attributes:
        suffix: of its file name, one of `KINDS`.
        width: in pixels.
        height: in pixels.
        length: of its own bytes; what is behind them is none of it.
    """

    suffix: str
    width: int
    height: int
    length: int

    @property
    def content_type(self) -> str:
        """Its Content-Type."""
        return KINDS[self.suffix]


def identify(raw: bytes) -> Image:
    """Tell what picture these bytes are.

    Args:
        raw: the whole file.

    Raises:
        BadImage: it is none, it is cut off or broken, or it is too large to look at.
    """
    read = next((read for begins, read in _READERS if begins(raw)), None)
    if read is None:
        raise BadImage("type", "this is no PNG, JPEG, WebP or GIF picture")
    try:
        image = read(raw)
    except (IndexError, struct.error):
        raise BadImage("broken", "the picture is cut off or broken") from None
    if not (0 < image.width <= LONGEST_SIDE and 0 < image.height <= LONGEST_SIDE):
        raise BadImage("size", f"a picture has 1 to {LONGEST_SIDE} pixels on each side")
    if image.width * image.height > MOST_PIXELS:
        raise BadImage("size", f"a picture has at most {MOST_PIXELS // 1_000_000} million pixels")
    return image


def _png(raw: bytes) -> Image:
    length, kind = struct.unpack_from(">I4s", raw, 8)
    width, height = struct.unpack_from(">II", raw, 16)
    if kind != b"IHDR" or length != 13:
        raise IndexError
    at = 8
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", raw, at)
        at += 12 + length
    return Image("png", width, height, _within(raw, at))


def _jpeg(raw: bytes) -> Image:
    width = height = 0
    at = 2
    while True:
        while raw[at] == 0xFF and raw[at + 1] == 0xFF:
            at += 1  # fill bytes
        if raw[at] != 0xFF:
            raise IndexError
        marker = raw[at + 1]
        at += 2
        if marker == _END:
            break
        if marker in _BARE:
            continue
        (length,) = struct.unpack_from(">H", raw, at)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", raw, at + 3)
        at += length
        if marker == _SCAN:
            found = _NEXT_MARKER.search(raw, at)
            if found is None:
                raise IndexError
            at = found.start(1) - 1
    return Image("jpg", width, height, at)


def _gif(raw: bytes) -> Image:
    width, height, flags = struct.unpack_from("<HHB", raw, 6)
    at = 13 + _colors(flags)
    while (block := raw[at]) != _TRAILER:
        if block == _EXTENSION:
            at += 2
        elif block == _PICTURE:
            at += 11 + _colors(raw[at + 9])
        else:
            raise IndexError
        while length := raw[at]:
            at += 1 + length
        at += 1
    return Image("gif", width, height, at + 1)


def _colors(flags: int) -> int:
    """Give the bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(raw: bytes) -> Image:
    (length,) = struct.unpack_from("<I", raw, 4)
    kind = raw[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(raw[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", raw, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and raw[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", raw, 26))
    else:
        raise IndexError
    return Image("webp", width, height, _within(raw, 8 + length))


def _within(raw: bytes, end: int) -> int:
    if end > len(raw):
        raise IndexError
    return end


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Image]], ...] = (
    (lambda raw: raw.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda raw: raw.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda raw: raw.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda raw: raw.startswith(b"RIFF") and raw[8:12] == b"WEBP", _webp),
)
