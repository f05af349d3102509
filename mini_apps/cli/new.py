"""`mini-apps new NAME`: a small working mini app to change."""

import re
from collections.abc import Iterator
from pathlib import Path

from mini_apps.cli.problem import EXIT_USAGE, Problem

TEMPLATE = Path(__file__).parent / "template"
FILES = {  # the new file: the template's, under a name no tool takes for the real thing
    "app.py": "app.py.in",
    "pages/index.html": "pages/index.html",
    "test_app.py": "test_app.py.in",
    "mini-apps.toml": "mini-apps.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
}


def new(name: str, where: Path) -> Iterator[str]:
    """Write the app's folder and tell what to do with it.

    Args:
        name: of the folder and the app: lower-case letters, digits, `-` and `_`, starting with a letter.
        where: the folder that gets the new one.

    Raises:
        Problem: the name cannot be used, or something of that name is there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name):
        raise Problem(
            f"{name!r} cannot be an app's name: use up to 32 lower-case letters, digits, - and _, a letter first",
            EXIT_USAGE,
        )
    folder = where / name
    if folder.exists() or folder.is_symlink():
        raise Problem(f"{folder} is there already; nothing was changed. Choose another name, or remove it")
    for file, source in FILES.items():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled((TEMPLATE / source).read_text("utf-8"), name), "utf-8")
    yield f"{name}/ holds app.py, pages/index.html, test_app.py and mini-apps.toml. Now:"
    yield f"  cd {name} && mini-apps dev --reload"


def _filled(text: str, name: str) -> str:
    return text.replace("__name__of_app__", name).replace("ClassOfApp", class_name(name))


def class_name(name: str) -> str:
    """Name the class of an app: `tic-tac-toe` becomes TicTacToe.

    Args:
        name: of the app.
    """
    return "".join(part.capitalize() for part in re.split(r"[-_]+", name)) or "MiniApp"
