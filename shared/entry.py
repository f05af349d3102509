"""The command line of a service process: `python -m gateway`, `python -m bot_worker`, `python -m ws_server`."""

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog

from shared import lifecycle, log
from shared.lifecycle import Process
from shared.redact import protect
from shared.settings import Settings, SettingsError, load

EXIT_SETTINGS = 2

Serve = Callable[[Process, Settings], Coroutine[Any, Any, None]]


def main(kind: str, serve: Serve, argv: Sequence[str] | None = None) -> int:
    """Read the command line and the settings, set up logging, and run the process to its end.

    Args:
        kind: `gateway`, `bot` or `ws`, which is also the section whose host and port may be overridden.
        serve: the process; see `shared.lifecycle`.
        argv: arguments, else those of the interpreter.

    Returns:
        The exit code: 0 after a clean stop, 2 for mistakes in the settings, which stand on standard error.
    """
    arguments = _parser(kind).parse_args(argv)
    try:
        settings = load(arguments.settings, {**os.environ, **_overrides(kind, arguments)})
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not set up without settings
        return EXIT_SETTINGS
    _author_code(settings.folder)
    protect(*settings.secrets())
    log.configure(settings.log, process=kind, node=settings.ws.node_id if kind == "ws" else "")
    for warning in settings.warnings():
        structlog.get_logger("settings").warning(warning)
    return lifecycle.run(lambda process: serve(process, settings), kind, drain_seconds=settings.ws.drain_seconds)


def _parser(kind: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"mini-apps {kind}", description=f"Run one {kind} process.")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: mini-apps.toml)")
    parser.add_argument("--host", help=f"overrides {kind}.host")
    parser.add_argument("--port", help=f"overrides {kind}.port")
    if kind == "ws":
        parser.add_argument("--node-id", help="overrides ws.node-id")
    return parser


def _overrides(kind: str, arguments: argparse.Namespace) -> dict[str, str]:
    """Give the options as the environment variables that would do the same."""
    given = {name: getattr(arguments, name, None) for name in ("host", "port", "node_id")}
    return {f"MINI_APPS__{kind.upper()}__{name.upper()}": value for name, value in given.items() if value is not None}


def _author_code(folder: Path) -> None:
    """Let `class = "app:Counter"` find `app.py` beside the settings file; last, so that it cannot shadow a package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
