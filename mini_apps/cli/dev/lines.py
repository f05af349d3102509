"""What a person sees of a child's output: its JSON log lines made readable, anything else as it is."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
NOT_SHOWN = {"time", "level", "event", "logger", "process", "node", "exception", "stack"}
COLORS = {"debug": "2", "info": "0", "warning": "33", "error": "31", "critical": "31;1"}
NAME_COLORS = ("36", "35", "34", "32", "94", "95")
MAX_LINE = 4000
SETTINGS_LOGGER = "settings"  # each child warns of the same; the runner says once what matters here


@dataclass(frozen=True, slots=True)
class Style:
    """How lines are shown.

    Attributes:
        apps: names of the apps, whose own log lines are always shown.
        verbose: show what our processes say at any level, not only warnings and errors.
        colors: whether the terminal has some.
        width: of the column with the process's name.
    """

    apps: Collection[str] = ()
    verbose: bool = False
    colors: bool = False
    width: int = 8

    def paint(self, text: str, color: str) -> str:
        """Color a text, where there are colors; `color` is an SGR code."""
        return f"\x1b[{color}m{text}\x1b[0m" if self.colors and text else text

    def prefix(self, name: str) -> str:
        """Give the first column of a child's lines."""
        return self.paint(f"{name:<{self.width}}", NAME_COLORS[sum(name.encode()) % len(NAME_COLORS)])


def render(name: str, line: str, style: Style) -> str | None:
    """Make one line of a child readable, or None when it is not worth a person's eye.

    Args:
        name: the child, such as ws-1.
        line: what it wrote, without the line's end.
        style: how to show it.
    """
    entry = _entry(line)
    if entry is None:
        return f"{style.prefix(name)} {line[:MAX_LINE]}" if line.strip() else None
    level = str(entry.get("level", "info"))
    logger = entry.get("logger")
    quiet = logger == SETTINGS_LOGGER or (level not in LEVELS[2:] and logger not in style.apps)
    if quiet and not style.verbose:
        return None
    return f"{style.prefix(name)} {_text(entry, level, style)}"


def plain(line: str) -> str:
    """Give the heart of a child's line for a sentence about it: the event of a log entry, else the line."""
    entry = _entry(line)
    return line.strip() if entry is None else str(entry["event"])


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None


def _text(entry: dict[str, Any], level: str, style: Style) -> str:
    pairs = " ".join(f"{key}={_value(value)}" for key, value in entry.items() if key not in NOT_SHOWN)
    parts = [
        style.paint(_clock(entry), "2"),
        style.paint(level, COLORS.get(level, "0")) if level != "info" else "",
        str(entry["event"]),
        style.paint(pairs, "2"),
    ]
    text = " ".join(part for part in parts if part)[:MAX_LINE]
    trace = str(entry.get("exception") or "").rstrip()
    return text + "".join(f"\n{' ' * style.width} {line}" for line in trace.splitlines())


def _clock(entry: dict[str, Any]) -> str:
    """Give the local time of day."""
    try:
        return f"{datetime.fromisoformat(str(entry.get('time'))).astimezone():%H:%M:%S}"
    except ValueError:
        return ""


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value, ensure_ascii=False)
