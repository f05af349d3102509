"""The picture that the bot sends, and the names of places."""

import struct
import zlib
from collections.abc import Iterator

import pytest

from examples.pixel_board.picture import PICTURE_SIDE, draw
from examples.pixel_board.places import BOARD_BYTES, PALETTE, PLACES, SIDE, name_of, parse_place

RED, BLUE = 6, 12


def test_a_picture_has_the_boards_pixels_in_its_colours() -> None:
    board = bytearray(BOARD_BYTES)
    board[0] = RED << 4 | BLUE
    lines = decode(draw(bytes(board)))
    scale = PICTURE_SIDE // SIDE
    assert len(lines) == PICTURE_SIDE
    assert lines[0][: 3 * scale] == [RED] * scale + [BLUE] * scale + [0] * scale
    assert lines[scale - 1] == lines[0]
    assert set(lines[scale]) == {0}


@pytest.mark.parametrize("place", [0, SIDE - 1, PLACES - 1, 100 * SIDE + 77])
def test_a_picture_of_a_place_shows_it(place: int) -> None:
    board = bytearray(BOARD_BYTES)
    board[place // 2] = RED << (0 if place % 2 else 4)
    assert sum(line.count(RED) for line in decode(draw(bytes(board), place))) == 16 * 16


def decode(png: bytes) -> list[list[int]]:
    """Read a PNG of 4 bits a pixel and no filters back, checking each chunk."""
    chunks = dict(chunks_of(png))
    assert chunks[b"PLTE"] == b"".join(bytes.fromhex(colour[1:]) for _, colour in PALETTE)
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    data, size = zlib.decompress(chunks[b"IDAT"]), 1 + width // 2
    assert len(data) == height * size
    assert not any(data[::size])
    return [_halves(data[start + 1 : start + size]) for start in range(0, len(data), size)]


def chunks_of(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at = 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(body)
        yield body[:4], body[4:]
        at += 12 + size


@pytest.mark.parametrize("text", ["", "1", "1_", "_1", "256_0", "0_256", "-1_0", "1_2_3", "\uff11_2", "1_2\n", " 1_2"])
def test_only_places_on_the_board_are_places(text: str) -> None:
    assert parse_place(text) is None


def test_a_place_comes_back_from_its_name() -> None:
    assert all(parse_place(name_of(place)) == place for place in (0, SIDE - 1, PLACES - 1, 12 + 40 * SIDE))


def _halves(line: bytes) -> list[int]:
    return [half for byte in line for half in divmod(byte, 16)]
