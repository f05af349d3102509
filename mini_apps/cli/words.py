"""What the words of a command line mean, as pure functions."""

import json
from collections.abc import Sequence
from typing import Any

from mini_apps.cli.problem import EXIT_USAGE, Problem


def settings_first(arguments: Sequence[str]) -> list[str]:
    """Move `--settings FILE` to the front, where the parser wants it: people write it after the command too."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--settings":
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith("--settings="):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


def parse_message(line: str) -> dict[str, Any]:
    """Read one line a person typed as a message: a JSON object, or the shorthand `type key=value …`.

    A value is JSON where it is JSON (`3`, `true`, `"3"`), else a text.

    Raises:
        Problem: it is neither.
    """
    line = line.strip()
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise Problem(f"not sent: this is not JSON ({error})", EXIT_USAGE) from None
        if not isinstance(found, dict):
            raise Problem("not sent: a message is a JSON object", EXIT_USAGE)
        return found
    kind, *pairs = line.split()
    message: dict[str, Any] = {"type": kind}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Problem(f"not sent: {pair!r} is not key=value; write {kind} key=value … or JSON", EXIT_USAGE)
        message[key] = _value(value)
    return message


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
