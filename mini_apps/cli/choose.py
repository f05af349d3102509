"""Which settings and which app a command is about."""

from pathlib import Path

from mini_apps.cli.dev import folder
from mini_apps.cli.problem import EXIT_USAGE, Problem
from shared.settings import AppSettings, Settings, load


def for_clients(named: Path | None, port: int, app: str) -> Settings:
    """Read the settings a client needs: the file named, else those of the `dev` that runs, else the file here.

    A running `dev` goes first because its bots have other tokens than the settings file.

    Args:
        named: the settings file of the command line.
        port: of the `dev`.
        app: the app's name; empty for the only one.
    """
    running = folder.settings_of_running(port)
    if named is None and running is not None:
        settings = load(running, {})
        if not app or app in settings.apps:
            return settings
    return load(named)


def of_dev(port: int) -> Path:
    """Find the settings of the `dev` that runs on a port.

    Raises:
        Problem: none does.
    """
    running = folder.settings_of_running(port)
    if running is None:
        raise Problem(f"no `mini-apps dev` of yours runs on port {port}")
    return running


def one_app(settings: Settings, name: str) -> AppSettings:
    """Pick an app by its name, or the only one.

    Raises:
        Problem: there is no such app, or the name is missing and there are several.
    """
    names = ", ".join(settings.apps)
    if not settings.apps:
        raise Problem("the settings have no app; make one with: mini-apps new NAME", EXIT_USAGE)
    if name and name not in settings.apps:
        raise Problem(f"there is no app {name!r} in the settings; there is {names}", EXIT_USAGE)
    if not name and len(settings.apps) > 1:
        raise Problem(f"which app? name one with --app: {names}", EXIT_USAGE)
    return settings.apps[name or names]
