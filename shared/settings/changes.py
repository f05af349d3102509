"""What differs between two readings of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.settings.model import file_key, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.settings.app import AppSettings
    from shared.settings.model import Section
    from shared.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between two sets of apps, by name; disabled apps count as absent.

    Attributes:
        added: Apps that are new.
        removed: Apps that are gone.
        changed: Apps with another value somewhere, and under which keys (with `_`, the author's own too).
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, frozenset[str]]

    def __bool__(self) -> bool:
        """Tell whether there is any difference."""
        return bool(self.added or self.removed or self.changed)


def compare(old: Settings, new: Settings) -> Changes:
    """Find out which apps came, went and changed.

    Args:
        old: The settings that are in effect.
        new: As read now.
    """
    before, after = enabled(old), enabled(new)
    differing = {name: changed_keys(before[name], after[name]) for name in before if name in after}
    return Changes(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed={name: keys for name, keys in differing.items() if keys},
    )


def enabled(settings: Settings) -> dict[str, AppSettings]:
    """Give the apps that are served."""
    return {name: app for name, app in settings.apps.items() if app.enabled}


def changed_keys(old: AppSettings, new: AppSettings) -> frozenset[str]:
    """Give the keys whose values differ; those of our own settings as the fields are named."""
    mine = {name for name in type(new).model_fields if getattr(old, name) != getattr(new, name)}
    before, after = old.own(), new.own()
    return frozenset(mine | {key for key in {*before, *after} if before.get(key) != after.get(key)})


def differences(name: str, old: Settings, section: Section) -> Iterator[str]:
    """Name the settings of a section that are not as they were, as `section.key`."""
    before = getattr(old, name)
    for field_name, field in type(section).model_fields.items():
        if getattr(before, field_name) != getattr(section, field_name):
            yield f"{name}.{shown(file_key(field_name, field))}"
