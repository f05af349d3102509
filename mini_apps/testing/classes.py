"""App classes under test by name: settings name a class as `module:Class`, and a test may define its own anywhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mini_apps.app import App


def path_of(app_class: "type[App]") -> str:
    """Return what the settings call a class, and make it importable under that name.

    Args:
        app_class: wherever it is defined.
    """
    name = f"{app_class.__name__}_{id(app_class):x}"
    globals()[name] = app_class
    return f"{__name__}:{name}"
