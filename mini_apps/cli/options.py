"""Options that several commands have, and what they mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mini_apps.cli import packages

AppName = Annotated[str, typer.Option("--app", help="The app's name; needed when there are several.")]
UserId = Annotated[int, typer.Argument(help="The user's Telegram id.", metavar="TELEGRAM_ID")]
Host = Annotated[str, typer.Option(help="Address to listen on; overrides the settings.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on, 0 for any free one; overrides the settings.")]
Reload = Annotated[bool, typer.Option("--reload", help="Restart when the app's files or the settings change.")]
DevPort = Annotated[int, typer.Option("--port", help="The port of the `dev` to look for when no settings are named.")]
OfDev = Annotated[int | None, typer.Option("--port", help="Those of the `dev` on this port, not of the settings here.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@dataclass(frozen=True, slots=True)
class Shared:
    """What every command gets: the settings file named on the command line, if one was."""

    settings: Path | None


def settings_file(context: typer.Context) -> Path | None:
    """Give the settings file of the command line."""
    found: Shared = context.find_object(Shared) or Shared(None)
    return found.settings


def of_dev(context: typer.Context, port: int | None) -> Path | None:
    """Name the settings of a running `dev` if its port was given; its author's modules count too then."""
    if port is None:
        return settings_file(context)
    from mini_apps.cli import choose

    found = choose.of_dev(port)
    packages.look_in(packages.author_folder(found))
    return found
