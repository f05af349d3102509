"""The board as a PNG. Redis keeps two pixels a byte and so does PNG with a palette, so there is little to convert.

Source: https://www.w3.org/TR/png-3/#5Chunk-layout
"""

import struct
import zlib

from examples.pixel_board.places import PALETTE, SIDE

PICTURE_SIDE = 1024  # pixels, whatever part of the board it shows
DETAIL = 64  # pixels of the board, in each direction, around a place
COLOURS = b"".join(bytes.fromhex(colour[1:]) for _, colour in PALETTE)


def draw(board: bytes, place: int | None = None) -> bytes:
    """Return a PNG of the whole board, or of the part around a place.

    Args:
        board: two pixels a byte, row by row.
        place: what is to be in the middle, as far as the board's edges allow.
    """
    size = SIDE if place is None else DETAIL
    left, top = (0, 0) if place is None else (_start(place % SIDE), _start(place // SIDE))
    scale = PICTURE_SIDE // size
    lines = b"".join(_line(board, left, top + row, size, scale) * scale for row in range(size))
    header = struct.pack(">IIBBBBB", PICTURE_SIDE, PICTURE_SIDE, 4, 3, 0, 0, 0)  # 4 bits a pixel, by palette
    chunks = ((b"IHDR", header), (b"PLTE", COLOURS), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _start(middle: int) -> int:
    return min(max(middle - DETAIL // 2, 0), SIDE - DETAIL)


def _line(board: bytes, left: int, row: int, size: int, scale: int) -> bytes:
    """Return one line of the picture: the filter (none), then each pixel so many times, two a byte."""
    pixels = (board[(row * SIDE + x) // 2] >> (4 if x % 2 == 0 else 0) & 15 for x in range(left, left + size))
    return b"\0" + b"".join(bytes((pixel * 17,)) * (scale // 2) for pixel in pixels)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
