"""Settings from the environment and from secret files, and how they lie over those of the file."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.settings.model import canonical
from shared.settings.sources import PREFIX, Found, Level, Place, depth, dotted, field_at, flatten, variable_name
from shared.settings.types import is_list, is_secret, is_table, is_text


def read_environment(environ: Mapping[str, str], apps: Collection[str], mistakes: list[str]) -> Level:
    """Collect the settings among the environment variables.

    Args:
        environ: The environment; names count in any case.
        apps: Names of the apps in the file, so that `TIC_TAC_TOE` finds `tic-tac-toe`.
        mistakes: Gets a line for a variable that holds broken JSON or is there twice.
    """
    level: Level = {}
    known = {canonical(name): name for name in apps}
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX):
            continue
        place = tuple(variable[len(PREFIX) :].lower().split("__"))
        if place[0] == "apps" and len(place) > 1:
            place = ("apps", known.get(place[1], place[1]), *place[2:])
        try:
            found = _from_variable(place, environ[variable], variable, mistakes)
        except ValueError:  # its text quotes the value, which may be a secret
            mistakes.append(f"{variable}: {dotted(place)} holds broken JSON")
            continue
        mistakes.extend(
            f"{variable}: {dotted(twice)} is set by {level[twice].origin} too" for twice in found if twice in level
        )
        level.update(found)
    return level


def _from_variable(place: Place, text: str, variable: str, mistakes: list[str]) -> Level:
    if len(place) < depth(place):
        table = json.loads(text) if text.lstrip().startswith("{") else text
        tree: Any = table
        for part in reversed(place):
            tree = {part: tree}
        return flatten(tree, variable, mistakes, variable=True)
    field = field_at(place)
    if len(place) > depth(place):
        value: Any = _loose(text)
    elif field is None:
        value = json.loads(text) if text.lstrip()[:1] in ("[", "{") else text
    elif is_list(field):
        value = _list(text)
    elif text == "" and (is_table(field) or not is_text(field)):
        return {}  # container files pass `PORT=${PORT:-}`: not set
    elif is_table(field):
        value = json.loads(text)
    else:
        value = text
    return {place: Found(value, variable, variable=True)}


def _list(text: str) -> Any:
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]


def _loose(text: str) -> Any:
    """Read a value inside an author's own table: JSON where it is JSON, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_secret_files(level: Level, folder: Path, mistakes: list[str]) -> list[Path]:
    """Replace each `…_FILE` of a secret by the file's content.

    Args:
        level: The settings of one source; changed in place.
        folder: What relative paths start from.
        mistakes: Gets a line for a file that cannot be read, is empty, or stands beside the secret itself.

    Returns:
        The files that were named, absolute.
    """
    files = []
    for place in [place for place in level if _names_secret_file(place)]:
        named = level.pop(place)
        target = (*place[:-1], place[-1].removesuffix("_file"))
        if target in level:
            mistakes.append(f"{named.origin}: {dotted(place)} and {dotted(target)} are both set; keep one")
            continue
        path = folder / str(named.value)
        files.append(path)
        content = _secret_content(path, f"{named.origin}: {dotted(place)}", mistakes)
        if content is not None:
            field = field_at(target)
            value = _list(content) if field is not None and is_list(field) else content
            level[target] = Found(value, f"{named.origin} ({path})", named.variable)
    return files


def _names_secret_file(place: Place) -> bool:
    if len(place) != depth(place) or not place[-1].endswith("_file"):
        return False
    field = field_at((*place[:-1], place[-1].removesuffix("_file")))
    return field is not None and is_secret(field)


def _secret_content(path: Path, who: str, mistakes: list[str]) -> str | None:
    try:
        content = path.read_text("utf-8").strip()
    except OSError as error:
        mistakes.append(f"{who}: {path} cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError:
        mistakes.append(f"{who}: {path} is not UTF-8 text")
        return None
    if not content:
        mistakes.append(f"{who}: {path} is empty")
        return None
    return content


def overlay(below: Level, above: Level, mistakes: list[str]) -> Level:
    """Lay the environment over the file.

    Args:
        below: The file's settings.
        above: The environment's settings, which win; deeper places change one key inside a table.
        mistakes: Gets a line for a value that cannot take the place of the file's.
    """
    merged = dict(below)
    for place in sorted(above, key=len):
        found = above[place]
        if len(place) > depth(place):
            _set_inside(merged, place, found, mistakes)
        elif place in below and field_at(place) is None:
            merged[place] = _like(below[place].value, found, place, mistakes)
        else:
            merged[place] = found
        if place[0] == "apps" and len(place) > 2:
            merged.setdefault(place[:2], Found({}, found.origin, variable=True))
    return merged


def _set_inside(merged: Level, place: Place, found: Found, mistakes: list[str]) -> None:
    at = depth(place)
    table = merged[place[:at]].value if place[:at] in merged else {}
    field = field_at(place)
    if not isinstance(table, dict) or (field is not None and not is_table(field)):
        mistakes.append(f"{found.origin}: {dotted(place[:at])} is not a table; set {variable_name(place[:at])}")
        return
    merged[place[:at]] = Found(_with(table, place[at:], found.value), found.origin, variable=True)


def _with(table: dict[str, Any], keys: Place, value: Any) -> dict[str, Any]:
    key = next((name for name in table if canonical(name).lower() == canonical(keys[0])), keys[0])
    if len(keys) == 1:
        return {**table, key: value}
    inner = table.get(key)
    return {**table, key: _with(inner if isinstance(inner, dict) else {}, keys[1:], value)}


def _like(model: Any, found: Found, place: Place, mistakes: list[str]) -> Found:
    """Give an author's own key from the environment the type it has in the file."""
    if not isinstance(found.value, str) or isinstance(model, str):
        return found
    if isinstance(model, list):
        return Found(_list(found.value), found.origin, variable=True)
    try:
        return Found(TypeAdapter(type(model)).validate_python(found.value), found.origin, variable=True)
    except ValidationError:
        mistakes.append(f"{found.origin}: {dotted(place)} is {type(model).__name__} in the file, so this must be too")
        return found
