"""Where Python looks for an author's module, and whether it finds our packages and nobody else's under their names."""

import importlib.machinery
import os
import shutil
import sys
from pathlib import Path

from mini_apps.cli.problem import Problem

HOME = Path(__file__).resolve().parents[2]
"""The folder that holds our packages: a checkout or `site-packages`."""

OURS = ("shared", "gateway", "bot_worker", "ws_server", "sandbox")


def look_in(folder: Path) -> None:
    """Append a folder to the end of `sys.path`, so that `class = "app:Counter"` finds its module there."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def check_packages() -> None:
    """Look whether Python finds our packages beside `mini_apps`, before any of them is imported.

    Raises:
        Problem: a package of somebody else stands where ours should be.
    """
    for name in OURS:
        if (intruder := _intruder(name)) is not None:
            raise Problem(
                f"the package {name!r} at {intruder} hides the one this project brings; "
                "rename it, or start with the command mini-apps from another folder"
            )


def _intruder(name: str) -> Path | None:
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None:
        raise Problem(f"the package {name!r} is missing beside mini_apps in {HOME}; install the project again")
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or name)]
    return None if any(place.resolve().parent == HOME for place in places) else places[0]


def settings_file(named: Path | None) -> Path:
    """Give the settings file a command works with, which need not exist."""
    from shared.settings.load import DEFAULT_FILE, FILE_VARIABLE

    return (named or Path(os.environ.get(FILE_VARIABLE) or DEFAULT_FILE)).absolute()


CODE_LINK = ".code"
"""Beside the settings that `dev` makes: a link to the folder of the author's modules."""


def author_folder(named: Path | None) -> Path:
    """Give the folder an author's modules are in: the settings file's, else the working directory."""
    file = settings_file(named)
    link = file.parent / CODE_LINK
    if link.is_symlink():
        return link.resolve()
    return file.parent if file.exists() else Path.cwd()


def program() -> str:
    """Give the words that start this command line from where the user is."""
    beside = Path(sys.executable).with_name("mini-apps")
    if shutil.which("mini-apps") or not beside.exists():
        return "mini-apps"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def is_installed() -> bool:
    """Tell whether our packages are found without help, wherever Python starts."""
    return HOME.name in ("site-packages", "dist-packages")
