"""The parameters of one Bot API call, whatever way they came: query string, form, multipart or JSON.

Source: https://core.telegram.org/bots/api#making-requests
"""

import json
from collections.abc import Mapping
from typing import Any

from sandbox.errors import bad_request
from sandbox.files import Sent

_TRUE = frozenset({"true", "yes", "1"})


class Params:
    """Typed access to the parameters; a missing one gives the default.

    Args:
        values: names with strings (forms) or JSON values (JSON bodies).
        files: that came with a form, by the name of their part.
    """

    def __init__(self, values: Mapping[str, Any], files: Mapping[str, Sent] | None = None) -> None:
        self.files: dict[str, Sent] = dict(files or {})
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        """Tell whether the parameter was given."""
        return name in self._values

    def shown(self) -> dict[str, Any]:
        """Return what was given, a file by its name and size."""
        files = {name: f"{sent.name} ({len(sent.data)} bytes)" for name, sent in self.files.items()}
        return {**self._values, **files}

    def text(self, name: str, default: str = "") -> str:
        """Return a string; numbers become their digits, as Telegram does with JSON bodies."""
        value = self._values.get(name, default)
        if isinstance(value, bool):
            return "true" if value else "false"
        return json.dumps(value) if isinstance(value, dict | list) else str(value)

    def integer(self, name: str, default: int = 0) -> int:
        """Return an integer, or the default where it is none."""
        try:
            return int(self._values.get(name, default))
        except (TypeError, ValueError):
            return default

    def clamped(self, name: str, default: int, low: int, high: int) -> int:
        """Return an integer moved into its range, as Telegram does with limits and timeouts."""
        return min(high, max(low, self.integer(name, default)))

    def flag(self, name: str) -> bool:
        """Return a boolean; `true`, `yes` and `1` are true."""
        return self.text(name).strip().lower() in _TRUE

    def structure(self, name: str) -> Any:
        """Return a JSON value, decoded when it came as text; `None` when missing or empty.

        Raises:
            ApiError: the text is not JSON.
        """
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return json.loads(value)
        except ValueError as error:
            raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from error

    def obj(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object, or `None` when missing.

        Raises:
            ApiError: the value is something else.
        """
        value = self.structure(name)
        if value is not None and not isinstance(value, dict):
            raise bad_request(f"object expected as {name.replace('_', ' ')}")
        return value

    def array(self, name: str) -> list[Any] | None:
        """Return a JSON array, or `None` when missing.

        Raises:
            ApiError: the value is something else.
        """
        value = self.structure(name)
        if value is not None and not isinstance(value, list):
            raise bad_request(f"expected an Array of {name.replace('_', ' ')}")
        return value
