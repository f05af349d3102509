"""The private folder of a running `dev`: effective settings, Valkey's log, the SQLite file. Gone when it ends."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from mini_apps.cli.problem import Problem

SETTINGS = "settings.json"


def _home() -> Path:
    return Path(tempfile.gettempdir()) / f"mini-apps-{os.getuid()}"


def create(port: int) -> Path:
    """Make the folder of the `dev` on a port, which must be free; what a killed one left there is removed.

    Raises:
        Problem: somebody else's folder stands in the place.
    """
    home = _home()
    home.mkdir(mode=0o700, exist_ok=True)
    _check(home)
    folder = home / f"dev-{port}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _check(home: Path) -> None:
    """Refuse a folder that another user could have prepared: the settings in it hold tokens."""
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Problem(f"{home} is not a folder only you can enter; remove it, or set TMPDIR to another place")


def remove(folder: Path) -> None:
    """Remove the folder and, if it was the last, the one above it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return  # another `dev` runs


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner can read, at once in full: a reader sees the old text or the new."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, "utf-8")
    draft.replace(file)


def settings_of_running(port: int) -> Path | None:
    """Find the effective settings of the `dev` that runs on a port."""
    file = _home() / f"dev-{port}" / SETTINGS
    try:
        return file if file.stat().st_uid == os.getuid() else None
    except OSError:
        return None
