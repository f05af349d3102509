"""From settings to apps: import the classes, make and bind the instances, make the tables."""

import asyncio
import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mini_apps.app import App
from mini_apps.hooks import call
from mini_apps.sessions import Sessions
from mini_apps.telegram_bot import load_bot, names_telegram
from shared.lifecycle import StartError
from shared.settings import SettingsError, enabled

if TYPE_CHECKING:
    from mini_apps.mesh import Mesh
    from shared.settings import AppSettings, Settings

__all__ = ["import_class", "import_classes", "load_app", "load_apps", "prepare", "prepare_anew"]


def import_class(name: str, class_path: str) -> type[App]:
    """Import the class of an app.

    Args:
        name: of the app, for the error.
        class_path: `module:Class`.

    Raises:
        StartError: there is no such module or class, it cannot be imported, or it is no `App`.
    """
    where = f"apps.{name}.class"
    if not class_path:
        raise StartError(f"{where} is not set; name the App class as module:Class, such as app:Counter")
    module_name, _, class_name = class_path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise StartError(f"{where}: {module_name} needs the module {error.name}, which is not installed") from error
        looked = ", ".join(path or "." for path in sys.path[-2:])
        raise StartError(f"{where}: there is no module {error.name} (looked in {looked} and elsewhere)") from None
    except Exception as error:
        raise StartError(f"{where}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        others = [key for key, value in vars(module).items() if _is_app(value) and value.__module__ == module_name]
        hint = f"; it has {', '.join(others)}" if others else ""
        raise StartError(f"{where}: the module {module_name} has no {class_name}{hint}")
    if not _is_app(found):
        raise StartError(f"{where}: {class_path} is no App; derive it from mini_apps.App")
    app_class: type[App] = found
    return app_class


def load_app(name: str, settings: "AppSettings", mesh: "Mesh") -> App:
    """Make one app and bind it to this process.

    Args:
        name: of the app.
        settings: of the app.
        mesh: what the process gives its apps.

    Raises:
        StartError: its class cannot be used, or a WebSocket node has nothing to check its logins with.
    """
    app = import_class(name, settings.class_path)(settings, name)
    app.bind(mesh)
    if mesh.kind == "ws":
        _check_logins(type(app), settings)
    return app


def import_classes(settings: "Settings") -> None:
    """Import the classes of all enabled apps: before anything else runs, since that may take seconds.

    Raises:
        StartError: an app's class cannot be used.
    """
    for name, app in enabled(settings).items():
        import_class(name, app.class_path)


def load_apps(mesh: "Mesh") -> dict[str, App]:
    """Make every enabled app of the settings.

    Args:
        mesh: what the process gives its apps.

    Raises:
        StartError: an app's class cannot be used.
    """
    return {name: load_app(name, settings, mesh) for name, settings in enabled(mesh.settings).items()}


async def prepare(mesh: "Mesh") -> dict[str, App]:
    """Make every enabled app, let it register its models, and make the tables that are missing.

    Args:
        mesh: what the process gives its apps.

    Raises:
        StartError: an app's class or the database cannot be used.
        BrokerUnavailable: Redis did not answer.
    """
    apps = load_apps(mesh)
    await _make_ready(mesh, apps.values())
    return apps


async def prepare_anew(
    mesh: "Mesh", settings: "Settings", names: Iterable[str], kept: Mapping[str, App]
) -> dict[str, App]:
    """Make apps of settings that were read again, as `prepare` does at the start.

    Args:
        mesh: what the process gives its apps.
        settings: as read now.
        names: of the apps to make.
        kept: apps that will go on with new settings; only looked at.

    Raises:
        SettingsError: with a line for each app that cannot be made or go on.
        StartError: the database cannot be used.
        BrokerUnavailable: Redis did not answer.
    """
    apps, mistakes = {}, []
    for name in names:
        try:
            await asyncio.to_thread(import_class, name, settings.apps[name].class_path)
            apps[name] = load_app(name, settings.apps[name], mesh)
        except StartError as error:
            mistakes.append(str(error))
        except Exception as error:  # noqa: BLE001 - an author's constructor; the apps that run go on
            mistakes.append(f"apps.{name}: the app could not be made: {type(error).__name__}: {error}")
    for name, app in kept.items():
        try:
            if mesh.kind == "ws":
                _check_logins(type(app), settings.apps[name])
        except StartError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SettingsError(mistakes)
    await _make_ready(mesh, apps.values())
    return apps


async def _make_ready(mesh: "Mesh", apps: Iterable[App]) -> None:
    apps = list(apps)
    if mesh.kind == "ws" and any(names_telegram(type(app)) for app in apps):
        await load_bot()  # now: at the first call the node would hear nobody for seconds
    for app in apps:
        await call(app.register_models)
    await mesh.database.create_tables(apps, mesh.broker, mesh.node_id)
    for app in apps:
        await app.learn_telegram_me()


def _check_logins(app_class: type[App], settings: "AppSettings") -> None:
    """Let a lack of keys show at the start, not at each login."""
    own_way = app_class.decode_telegram_data is not App.decode_telegram_data or app_class.get_user is not App.get_user
    checked = settings.verify == "signature" or settings.key_for_init_data() is not None
    if not (checked or own_way or settings.fake_user):
        name = settings.name
        raise StartError(f"apps.{name}: no login can be checked; set bot-token, or webapp-key to do without it")
    try:
        Sessions(settings.name, settings)
    except ValueError as error:
        raise StartError(str(error)) from None


def _is_app(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, App)
