"""The ids of the calls that a hook makes: the same ones each time its update is tried.

An id is made of the `update_id`, of what is called with what, and of how often this hook has called that already. So a
hook that fails half way and is tried again finds its earlier calls, in whatever order it makes them.
"""

import hashlib
from collections.abc import Mapping
from contextvars import ContextVar

import orjson

_try: ContextVar["HookTry | None"] = ContextVar("hook_try", default=None)


class HookTry:
    """One try of the hooks for one update: the calls inside its block, and in tasks started there, are theirs.

    Args:
        update_id: of the update.
    """

    __slots__ = ("_before", "_made", "_update_id")

    def __init__(self, update_id: int) -> None:
        self._update_id = update_id
        self._made: dict[str, int] = {}

    def __enter__(self) -> None:
        self._before = _try.set(self)

    def __exit__(self, *_: object) -> None:
        _try.reset(self._before)

    def next_id(self, method: str, fields: Mapping[str, str], files: Mapping[str, str]) -> str:
        """Return the id of the next call.

        Args:
            method: of the Bot API.
            fields: as texts.
            files: the file names by the name of their part; what is in them counts for nothing.
        """
        content = orjson.dumps([method, fields, files], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(content).hexdigest()[:24]
        times = self._made[digest] = self._made.get(digest, 0) + 1
        return f"{self._update_id}-{digest}-{times}"


def current_try() -> HookTry | None:
    """Return the try of hooks that runs here, None outside hooks."""
    return _try.get()
