"""Where the files of the browser client are: inside the wheel, or beside the packages in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder() -> Path:
    """Return the folder with `mini-apps.js`: `mini_apps/_client` of a wheel, else the `client` of the checkout."""
    packed = _PACKAGE / "_client"
    return packed if packed.is_dir() else _PACKAGE.parent / "client"
