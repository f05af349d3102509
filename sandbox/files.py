"""Files that were sent: kept in memory up to a bound, the oldest forgotten first."""

import mimetypes
import struct
from dataclasses import dataclass
from random import Random

from sandbox.errors import ApiError, bad_request

MAX_FILE = 50 * 1024 * 1024
MAX_PHOTO = 10 * 1024 * 1024
MAX_KEPT = 512 * 1024 * 1024  # bytes of all files

_FOLDERS = {"photo": "photos", "document": "documents", "voice": "voice", "audio": "music"}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it came with a call."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that Telegram keeps.

    Attributes:
        id: by which bots send it again and ask for it.
        unique_id: the same for the same file.
        path: behind `/file/bot<token>/`.
        kind: `document`, `photo`, …: what it was sent as.
    """

    id: str
    unique_id: str
    path: str
    kind: str
    name: str
    mime: str
    data: bytes


class Files:
    """All files of one sandbox.

    Args:
        rng: makes ids.
        bound: bytes of all files together.
    """

    def __init__(self, rng: Random, bound: int = MAX_KEPT) -> None:
        self._rng = rng
        self._bound = bound
        self._kept: dict[str, StoredFile] = {}
        self._bytes = 0

    def add(self, kind: str, sent: Sent) -> StoredFile:
        """Keep a file.

        Raises:
            ApiError: it is empty or too large.
        """
        if not sent.data:
            raise bad_request("file must be non-empty")
        if len(sent.data) > (MAX_PHOTO if kind == "photo" else MAX_FILE):
            raise ApiError(413, "Request Entity Too Large")
        unique = f"{self._rng.getrandbits(64):016x}"
        folder = _FOLDERS.get(kind, f"{kind}s")
        ending = "." + sent.name.rpartition(".")[2] if "." in sent.name else ".jpg" if kind == "photo" else ""
        mime = mimetypes.guess_type(sent.name)[0] or "application/octet-stream"
        path = f"{folder}/file_{len(self._kept)}_{unique}{ending}"
        file = StoredFile(
            f"BQAC{unique}{self._rng.getrandbits(64):016x}", unique, path, kind, sent.name, mime, sent.data
        )
        self._kept[file.id] = file
        self._bytes += len(file.data)
        while self._bytes > self._bound:
            oldest = next(iter(self._kept))
            self._bytes -= len(self._kept.pop(oldest).data)
        return file

    def get(self, file_id: str) -> StoredFile | None:
        """Return a file by its id."""
        return self._kept.get(file_id)

    def at(self, path: str) -> StoredFile | None:
        """Return a file by its path."""
        return next((file for file in self._kept.values() if file.path == path), None)


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG or JPEG; 320 × 320 for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 < len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 320, 320
