"""What is raised when settings are wrong: one exception that carries every mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class SettingsError(Exception):
    """The settings cannot be used.

    Args:
        mistakes: One line per mistake, each naming where it is and what to do. Never holds a secret.
        files: Those that were read, or should have been: a change of one of them may mend it.
    """

    def __init__(self, mistakes: Iterable[str], files: Iterable[Path] = ()) -> None:
        self.mistakes = list(mistakes)
        self.files = tuple(files)
        super().__init__("\n".join(self.mistakes))
