"""Where settings come from: a file and the environment, brought to one flat form that remembers its origin."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from shared.settings.app import AppSettings
from shared.settings.model import SECTIONS, canonical, field_keys, shown

PREFIX = "MINI_APPS__"

Place = tuple[str, ...]
"""(section, key) or ("apps", name, key), and further keys inside a table; ("apps", name) says the app is there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it came from.

    Args:
        value: As the file gave it, or the text of an environment variable brought to the setting's shape.
        origin: A file name, or an environment variable with its name.
        variable: Whether it came from the environment.
    """

    value: Any
    origin: str
    variable: bool = False


Level = dict[Place, Found]


def depth(place: Place) -> int:
    """Tell at which length of a place a setting stands."""
    return 3 if place[0] == "apps" else 2


def field_at(place: Place) -> FieldInfo | None:
    """Find the declaration of the setting at a place, if there is one."""
    section = AppSettings if place[0] == "apps" else SECTIONS.get(place[0])
    at = depth(place)
    if section is None or len(place) < at:
        return None
    name = field_keys(section).get(place[at - 1])
    return section.model_fields[name] if name else None


def variable_name(place: Place) -> str:
    """Give the environment variable that sets a place."""
    return PREFIX + "__".join(canonical(part).upper() for part in place)


def read_file(path: Path, mistakes: list[str]) -> dict[str, Any]:
    """Read a settings file, TOML or JSON by its suffix.

    Args:
        path: The file.
        mistakes: Gets a line when the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")  # editors on Windows write a byte order mark
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return _json_object(text)
        mistakes.append(f"{path}: a settings file is named .toml or .json")
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        mistakes.append(f"{path}: is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        mistakes.append(f"{path}: is not valid TOML: {error}")
    except json.JSONDecodeError as error:
        mistakes.append(f"{path}: is not valid JSON: {error.msg} (at line {error.lineno}, column {error.colno})")
    except ValueError as error:
        mistakes.append(f"{path}: {error}")
    return {}


def _json_object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("expected an object with a section for each part")  # noqa: TRY004 - a mistake in a file
    return found


def flatten(tree: Mapping[str, Any], origin: str, mistakes: list[str], *, variable: bool = False) -> Level:
    """Bring nested tables to the flat form.

    Args:
        tree: Sections with their keys, as read.
        origin: Where the tables came from.
        mistakes: Gets a line for a key that stands twice and for a value where a table belongs.
        variable: Whether the origin is an environment variable.
    """
    level: Level = {}
    for place, value in _walk(tree):
        if place in level:
            mistakes.append(f"{origin}: {dotted(place)} is there twice, once with - and once with _")
        elif value is not None:  # JSON's null: not set
            level[place] = Found(value, origin, variable)
    return level


def dotted(place: Place) -> str:
    """Show a place as in documentation: `ws.max-connections`, `apps.tic_tac_toe.bot-token`."""
    fixed = place[:2] if place[0] == "apps" else place[:1]
    return ".".join([*fixed, *(shown(key) for key in place[len(fixed) :])])


def _walk(tree: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    for key, content in tree.items():
        section = canonical(key)
        if not isinstance(content, dict):
            yield (section,), content
        elif section == "apps":
            for name, app in content.items():
                yield ("apps", name), app
                if isinstance(app, dict):
                    yield from ((("apps", name, canonical(inner)), value) for inner, value in app.items())
        else:
            yield from (((section, canonical(inner)), value) for inner, value in content.items())
