"""Reading the settings: everything is looked at before anything is refused."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.settings.app import AppSettings
from shared.settings.changes import differences
from shared.settings.environment import overlay, read_environment, read_secret_files
from shared.settings.errors import SettingsError
from shared.settings.mistakes import contradictions, invalid, same_apps, unknown
from shared.settings.model import SECTIONS, Section, TelegramSettings, WsAppSettings, field_keys
from shared.settings.settings import Settings
from shared.settings.sources import Level, Place, dotted, flatten, read_file

DEFAULT_FILE = "mini-apps.toml"
FILE_VARIABLE = "MINI_APPS_SETTINGS"

Kind = TypeVar("Kind", bound=Section)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings file and the environment.

    Args:
        path: The file, TOML or JSON by suffix; else the one MINI_APPS_SETTINGS names, else `mini-apps.toml`.
        environ: Environment variables; else those of the process.

    Raises:
        SettingsError: There are mistakes; it carries all of them, a line each.
    """
    return _load(path, os.environ if environ is None else environ, None)


def reload(old: Settings) -> Settings:
    """Read the apps again from where other settings came from; all other sections stay as they were.

    Args:
        old: The settings that are in effect.

    Returns:
        Settings whose `elsewhere` names what changed outside `[apps]` and was left alone.

    Raises:
        SettingsError: There are mistakes; it carries all of them, a line each.
    """
    path, environ = old.origin
    return _load(path, environ, old)


def _load(path: Path | None, environ: Mapping[str, str], old: Settings | None) -> Settings:
    mistakes: list[str] = []
    file, named = _which_file(path, environ)
    there = file.exists()
    folder = file.absolute().parent if there else Path.cwd()
    low = flatten(read_file(file, mistakes), str(file), mistakes) if there or named else {}
    high = read_environment(environ, [place[1] for place in low if _is_app(place)], mistakes)
    files = [*([file.absolute()] if there or named else []), *read_secret_files(low, folder, mistakes)]
    files += read_secret_files(high, folder, mistakes)
    level = overlay(low, high, mistakes)
    if not (there or named or any(place[0] == "apps" for place in level)):
        mistakes.append(_nothing_there(folder))
    mistakes += [*unknown(level), *same_apps(level)]
    settings = _build(level, mistakes, old)
    if mistakes:
        raise SettingsError(mistakes, files)
    # A file that was there once must stay: without it all its apps would seem to be removed.
    settings.place(folder, tuple(files), (file.absolute() if there else path, environ))
    if old is not None:
        settings.database_models.extend(old.database_models)
    return settings


def _which_file(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Give the settings file and whether it was named, so that its absence is a mistake."""
    if path is not None:
        return Path(path), True
    named = environ.get(FILE_VARIABLE, "")
    return Path(named or DEFAULT_FILE), bool(named)


def _nothing_there(folder: Path) -> str:
    return (
        f"{DEFAULT_FILE}: there is none in {folder}; make an app with its settings by `mini-apps new NAME`, "
        f"or name a file by --settings or {FILE_VARIABLE}"
    )


def _is_app(place: Place) -> bool:
    return len(place) == 2 and place[0] == "apps"


def _build(level: Level, mistakes: list[str], old: Settings | None) -> Settings:
    sections = {name: _section(model, (name,), level, mistakes) for name, model in SECTIONS.items()}
    elsewhere: list[str] = []
    if old is not None:
        elsewhere = [place for name, section in sections.items() for place in differences(name, old, section)]
        sections = {name: getattr(old, name) for name in SECTIONS}
    whole = Settings.model_validate(sections)
    apps = {}
    for place in [place for place in level if _is_app(place)]:
        app = _section(AppSettings, place, level, mistakes, _inherited(whole, place[1]))
        mistakes += [_told(place, key, text, level) for key, text in contradictions(app)]
        apps[place[1]] = app
    settings = Settings.model_validate({**sections, "apps": apps})
    settings.elsewhere.extend(elsewhere)
    return settings


def _section(
    model: type[Kind], place: Place, level: Level, mistakes: list[str], inherited: Mapping[str, Any] | None = None
) -> Kind:
    """Validate one section; when it has mistakes, go on with its defaults to find the others' too."""
    own = {at[-1]: found.value for at, found in level.items() if at[:-1] == place}
    keys = field_keys(model)
    if model.model_config.get("extra") == "forbid":
        own = {key: value for key, value in own.items() if key in keys}  # the others have their own line
    behind = {key: value for key, value in (inherited or {}).items() if key not in own}
    try:
        return model.model_validate({**behind, **own})
    except ValidationError as error:
        mistakes += invalid(error, place, level)
        return model()


def _inherited(whole: Settings, app: str) -> dict[str, Any]:
    """Collect what an app takes over from the global sections unless it sets it."""
    telegram = {name: getattr(whole.telegram, name) for name in TelegramSettings.model_fields}
    ws = {name: getattr(whole.ws, name) for name in WsAppSettings.model_fields}
    public = whole.gateway.public_url.rstrip("/")
    return {**telegram, **ws, **({"url": f"{public}/apps/{app}/"} if public else {})}


def _told(place: Place, key: str, text: str, level: Level) -> str:
    at = (*place, key)
    return f"{level[at if at in level else place].origin}: {dotted(at)}: {text}"
