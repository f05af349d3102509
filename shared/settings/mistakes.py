"""How mistakes in settings are told: what is wrong, where it stands, and what to write instead."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.init_data import webapp_key
from shared.redact import scrub
from shared.settings.app import APP_NAME, AppSettings
from shared.settings.model import SECTIONS, field_keys, shown
from shared.settings.sources import Found, Level, Place, dotted, field_at, variable_name
from shared.settings.types import is_secret

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "dict": "a table",
}
TYPO = 0.85
"""How alike an app's own key and one of ours must be to count as a typo."""


def unknown(level: Level) -> Iterator[str]:
    """Name every section, app and key that does not exist, with the nearest that does."""
    seen: set[tuple[str, str]] = set()
    for place, found in level.items():
        if place[0] not in SECTIONS and place[0] != "apps":
            if (place[0], found.origin) not in seen:
                seen.add((place[0], found.origin))
                yield f"{found.origin}: {_no_section(place[0])}"
        elif len(place) == 1:
            yield f"{found.origin}: {place[0]} is a section, not a value: put keys below [{place[0]}]"
        elif place[0] != "apps":
            yield from _unknown_key(place, found)
        elif len(place) == 2:
            yield from _bad_app(place, found)
        else:
            yield from _app_key(place, found)


def _no_section(name: str) -> str:
    text = f"[{shown(name)}] is not a section"
    near = nearest(name, [*SECTIONS, "apps"])
    if near:
        return f"{text}; did you mean [{near}]?"
    homes = [section for section, model in SECTIONS.items() if name in field_keys(model)]
    if name in field_keys(AppSettings):
        homes.append("apps.NAME")
    if homes:
        return f"{text}; {shown(name)} belongs below {' or '.join(f'[{home}]' for home in homes)}"
    return f"{text}; sections are {', '.join([*SECTIONS, 'apps'])}"


def nearest(word: str, words: Iterable[str], alike: float = 0.6) -> str | None:
    """Find the word that is most like another, if any is alike enough.

    Args:
        word: What was written.
        words: What could have been meant.
        alike: From 0 (anything) to 1 (equal).
    """
    return next(iter(difflib.get_close_matches(word.lower(), list(words), n=1, cutoff=alike)), None)


def _unknown_key(place: Place, found: Found) -> Iterator[str]:
    section, key = place[:2]
    keys = field_keys(SECTIONS[section])
    if key in keys:
        return
    text = f"{found.origin}: {dotted(place[:2])} is not a setting"
    near = nearest(key, keys)
    homes = [other for other, model in SECTIONS.items() if key in field_keys(model)]
    if near is None and homes:
        yield f"{text}; {shown(key)} belongs below {' or '.join(f'[{home}]' for home in homes)}"
    elif near is None:
        yield f"{text}; [{section}] has {', '.join(shown(name) for name in keys)}"
    else:
        yield f"{text}; did you mean {_meant((section, near), found)}?"


def _meant(place: Place, found: Found) -> str:
    return variable_name(place) if found.variable else dotted(place)


def _bad_app(place: Place, found: Found) -> Iterator[str]:
    if not APP_NAME.fullmatch(place[1]):
        allowed = "a-z and 0-9 first, then also _ and -, at most 64 characters"
        yield f"{found.origin}: apps.{place[1]}: an app's name has {allowed}"
    if not isinstance(found.value, dict):
        yield f"{found.origin}: {dotted(place)} is an app, not a value: put keys below [{dotted(place)}]"


def _app_key(place: Place, found: Found) -> Iterator[str]:
    key = place[2]
    keys = field_keys(AppSettings)
    if key in keys:
        return
    if key in SECTIONS:
        yield f"{found.origin}: {dotted(place)}: an app has no {key} settings of its own; use the section [{key}]"
    elif hasattr(AppSettings, key):
        yield f"{found.origin}: {dotted(place)}: the name {shown(key)} is taken in an app's settings; use another"
    elif near := nearest(key, keys, TYPO):
        yield f"{found.origin}: {dotted(place)} is probably a typo; did you mean {_meant((*place[:2], near), found)}?"


def same_apps(level: Level) -> Iterator[str]:
    """Name apps whose names differ only in `-` and `_`, which the environment cannot tell apart."""
    names: dict[str, str] = {}
    for place, found in level.items():
        if len(place) == 2 and place[0] == "apps":
            other = names.setdefault(variable_name(place), place[1])
            if other != place[1]:
                yield f"{found.origin}: apps.{place[1]} and apps.{other} differ only in - and _; rename one"


def invalid(error: ValidationError, place: Place, level: Level) -> Iterator[str]:
    """Tell what was expected instead of each value that does not fit.

    Args:
        error: Of a section's model.
        place: The section's place.
        level: Where the values came from.
    """
    for detail in error.errors(include_url=False):
        key, *inside = detail["loc"] or ("",)
        at = (*place, str(key))
        if at not in level:
            continue  # inherited from a global section, where it has its own line
        where = dotted(at) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inside)
        yield f"{level[at].origin}: {where}: {expected(detail)}{_instead_of(at, detail)}"


def expected(detail: ErrorDetails) -> str:
    """Say in plain words what a setting must be.

    Args:
        detail: One error as pydantic describes it.
    """
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"expected {context['expected'].replace(chr(39), '')}"
        case "greater_than_equal":
            return f"expected {context['ge']} or more"
        case "greater_than":
            return f"expected more than {context['gt']}"
        case "less_than_equal":
            return f"expected at most {context['le']}"
        case kind:
            wanted = KINDS.get(kind.partition("_")[0])
            return f"expected {wanted}" if wanted else re.sub(r"^Value", "the value", detail["msg"])


def _instead_of(place: Place, detail: ErrorDetails) -> str:
    """Quote what was written, unless it is or could be a secret."""
    field = field_at(place)
    if field is None or is_secret(field):
        return ""
    text = scrub(json.dumps(detail["input"], default=str, ensure_ascii=False))
    return f", not {text}" if len(text) <= 60 else ""


def contradictions(app: AppSettings) -> Iterator[tuple[str, str]]:
    """Name settings of one app that cannot hold together, as (key, text)."""
    token = app.bot_token.get_secret_value() if app.bot_token else ""
    if app.verify == "signature":
        if app.bot_id is None:
            yield "verify", "signature needs bot-id, the digits before the colon of the bot token"
        if not app.session_keys:
            yield "verify", "signature needs session-keys, below [ws] or the app: session tokens are signed with them"
    if token and app.bot_id != int(token.partition(":")[0]):
        yield "bot_id", "is not the bot of bot-token"
    if token and app.webapp_key and app.webapp_key.get_secret_value().lower() != webapp_key(token).hex():
        yield "webapp_key", "does not belong to bot-token; leave one of them out"
