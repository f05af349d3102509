"""The effective settings as a settings file would say them, secrets hidden."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.settings import load


def show(named: Path | None, *, as_json: bool) -> str:
    """Give the effective settings as TOML or JSON.

    Args:
        named: the settings file of the command line.
        as_json: JSON instead of TOML.
    """
    found = load(named).redacted()
    return json.dumps(found, indent=2, ensure_ascii=False, default=str) if as_json else to_toml(found)


def to_toml(settings: dict[str, Any]) -> str:
    """Write settings as TOML.

    Args:
        settings: sections of plain values by name; `apps` holds a section for each app.
    """
    sections = {name: section for name, section in settings.items() if name != "apps"}
    sections |= {f"apps.{_key(name)}": app for name, app in settings.get("apps", {}).items()}
    return "\n".join(line for title, section in sections.items() for line in _section(title, section)).rstrip()


def _section(title: str, section: dict[str, Any]) -> Iterator[str]:
    yield f"[{title}]"
    for key, value in section.items():
        if value is not None:
            yield f"{_key(key)} = {_value(value)}"
    yield ""


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value)  # a date or time, which TOML writes as Python does
