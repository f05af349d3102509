"""Seeing that the author changed something: modification times, looked at twice a second."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LOOK_SECONDS = 0.5
SKIPPED = frozenset({"__pycache__", "node_modules", "venv", "site-packages"})
MAX_FILES = 5000

Seen = Mapping[Path, int]


def look(folders: Iterable[Path], files: Iterable[Path]) -> Seen:
    """Note when each Python file below the folders, and each of the files, was last changed.

    Args:
        folders: of the apps' modules; hidden folders and environments in them are skipped.
        files: the settings file and secret files.

    Returns:
        Nanoseconds by path; a file that is not there is left out.
    """
    seen = {}
    for path in (*_python_files(folders), *files):
        try:
            seen[path] = path.stat().st_mtime_ns
        except OSError:
            continue  # between an editor's delete and its rename
    return seen


def _python_files(folders: Iterable[Path]) -> Iterator[Path]:
    count = 0
    for top in folders:
        for folder, below, names in os.walk(top):
            below[:] = [name for name in below if not name.startswith(".") and name not in SKIPPED]
            for name in names:
                if name.endswith(".py") and count < MAX_FILES:
                    count += 1
                    yield Path(folder, name)


def changed(before: Seen, after: Seen) -> list[Path]:
    """List the files that were changed, added or removed."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def syntax_trouble(paths: Iterable[Path]) -> str | None:
    """Say in one line what Python cannot read in the files, or None."""
    for path in paths:
        if path.suffix == ".py" and path.exists():
            try:
                compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            except SyntaxError as error:
                return f"{path.name} line {error.lineno}: {error.msg}"
            except (ValueError, OSError) as error:
                return f"{path.name}: {error}"
    return None
