"""The folder of uploaded pictures: names nobody can guess, whole files only, and a bound.

Gateways write what pages upload, nodes and bot workers what `App.save_image` is given; all may share one volume.
"""

import contextlib
import errno
import os
import re
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.images import KINDS, Image, identify

__all__ = ["MediaFolder", "MediaFull", "Stored", "is_upload"]

COUNT_SECONDS: Final = 30.0  # how old the folder's size may be; others write there too
STALE_SECONDS: Final = 3_600.0  # after which the unfinished file of a process that died is taken away
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_PART: Final = ".part"
_NAME: Final = re.compile(rf"[0-9a-f]{{32}}\.(?:{'|'.join(KINDS)})")


class MediaFull(Exception):
    """There is no room for another picture."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that is in the folder: its file's name below that of its app, and what it is."""

    name: str
    image: Image


def is_upload(name: str) -> bool:
    """Tell whether a file's name is one that pictures get here: under such a name nothing ever changes."""
    return _NAME.fullmatch(name) is not None


class MediaFolder:
    """Pictures in a folder, one folder below it for each app; the methods block on the file system.

    Args:
        root: the folder; made with the first picture.
        max_bytes: that everything in it may have together; 0 for no limit.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # uploads run in threads
        self._used = 0
        self._counted = float("-inf")

    def store(self, app: str, raw: bytes) -> Stored:
        """Put a picture there: the file is complete on the disk, or it is not there.

        Args:
            app: name of the app.
            raw: the picture's file; what is behind the picture's own end is left out.

        Raises:
            shared.images.BadImage: it is no picture that is taken.
            MediaFull: there is no room.
            OSError: the folder cannot be written.
        """
        image = identify(raw)
        self._reserve(image.length)
        name = f"{secrets.token_hex(16)}.{image.suffix}"
        try:
            _write(self._root / app, name, raw[: image.length])
        except OSError as error:
            self._give_back(image.length)
            if error.errno in NO_ROOM:
                raise MediaFull("the disk is full") from None
            raise
        return Stored(name, image)

    def remove(self, app: str, name: str) -> bool:
        """Take a picture away; false where there is none of this name, or it is no name of a picture.

        Raises:
            OSError: the folder cannot be written.
        """
        if not is_upload(name):
            return False
        path = self._root / app / name
        try:
            length = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return False
        self._give_back(length)
        return True

    def remove_unused(self, app: str, used: Collection[str], before: float) -> int:
        """Take away the pictures of an app that are stored since before some time and of no use.

        Args:
            app: name of the app.
            used: the names of those that stay.
            before: unix seconds.

        Returns:
            How many were taken away.

        Raises:
            OSError: the folder cannot be written.
        """
        old: list[str] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root / app) as entries:
            mine = (entry for entry in entries if is_upload(entry.name) and entry.name not in used)
            old.extend(entry.name for entry in mine if entry.stat().st_mtime < before)
        return sum(self.remove(app, name) for name in old)

    def _reserve(self, length: int) -> None:
        with self._lock:
            if time.monotonic() - self._counted > COUNT_SECONDS:
                self._used, self._counted = _size(self._root), time.monotonic()
            if self._max_bytes and self._used + length > self._max_bytes:
                raise MediaFull(f"the media folder may hold {self._max_bytes} bytes")
            self._used += length

    def _give_back(self, length: int) -> None:
        with self._lock:
            self._used -= length


def _write(folder: Path, name: str, raw: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}{_PART}"  # a dotfile is never served
    try:
        with part.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / name)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _size(root: Path) -> int:
    """Add up the folder's files, and take away what a process that died has left unfinished."""
    total, now = 0, time.time()
    for entry in _files(root):
        with contextlib.suppress(OSError):  # taken away meanwhile
            about = entry.stat(follow_symlinks=False)
            if entry.name.startswith(".") and entry.name.endswith(_PART) and now - about.st_mtime > STALE_SECONDS:
                Path(entry.path).unlink()
            else:
                total += about.st_size
    return total


def _files(root: Path) -> Iterator[os.DirEntry[str]]:
    folders = [os.fspath(root)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry
