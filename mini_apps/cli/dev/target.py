"""The app that `dev module:Class` names: what it is called and where its files are."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from mini_apps.cli.problem import EXIT_USAGE, Problem


@dataclass(frozen=True, slots=True)
class Target:
    """An App class named on the command line.

    Attributes:
        class_path: `module:Class`.
        name: what the app is called when no settings name it.
        folder: where its module is.
        pages: its static pages, if the folder has some.
    """

    class_path: str
    name: str
    folder: Path
    pages: Path | None


def find_target(class_path: str) -> Target:
    """Find the app's files without importing its module.

    Raises:
        Problem: it is not `module:Class`, or there is no such module.
    """
    if not re.fullmatch(r"[\w.]+:\w+", class_path):
        raise Problem(f"{class_path!r} is not module:Class, such as app:Counter", EXIT_USAGE)
    folder = module_folder(class_path)
    pages = folder / "pages"
    return Target(class_path, app_name(class_path), folder, pages if pages.is_dir() else None)


def app_name(class_path: str) -> str:
    """Name an app after its package (`examples.counter.app:Counter`), else after its class (`app:CounterApp`)."""
    module, _, class_ = class_path.partition(":")
    package = module.rpartition(".")[0].rpartition(".")[2]
    name = (package or class_.removesuffix("App") or class_).lower()
    return name.lstrip("_") or "app"


def module_folder(class_path: str) -> Path:
    """Find the folder of an app's module.

    Raises:
        Problem: there is no such module.
    """
    module = class_path.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise Problem(
            f"there is no module {module!r} in {Path.cwd()} or among the installed ones; "
            "go to the folder it is in, or name another module:Class"
        )
    return Path(spec.origin).resolve().parent
