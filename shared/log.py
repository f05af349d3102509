"""Structured logs that never hold a secret: one configuration for our own loggers and everybody else's.

Every line goes the same way: context (`trace`), time, level, traceback, then `shared.redact`, then the renderer.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO, cast

import orjson
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback

from shared import trace
from shared.redact import clean_items, protect, scrub

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

    from shared.settings.model import LogSettings

__all__ = ["LogSource", "configure", "get_logger", "protect", "scrub"]

_AT_LEAST = {
    "aiohttp.access": logging.WARNING,  # its lines hold paths with queries
    "aiosqlite": logging.INFO,
    "sqlalchemy": logging.WARNING,  # INFO writes every statement with its values
    "websockets": logging.INFO,  # DEBUG writes frames, shortened in the middle of secrets
}


def configure(settings: LogSettings, *, process: str, node: str = "", stream: TextIO | None = None) -> None:
    """Set up logging for this process, once, before anything else starts.

    Args:
        settings: Level and format.
        process: What this process is: gateway, bot, ws, sandbox, dev.
        node: Its name among several, such as ws-1.
        stream: Where lines go; standard error unless given.
    """
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    shared = _shared_processors(process, node, console=console)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _trace,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    handler.setFormatter(_formatter(shared, console=console, colors=console and wants_colors(out)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, least in _AT_LEAST.items():
        logging.getLogger(name).setLevel(max(level, least))
    _log_what_nobody_caught()


def _shared_processors(process: str, node: str, *, console: bool) -> list[Processor]:
    """List the steps that our own events and those of other libraries both take."""
    time_format, utc = ("%H:%M:%S", False) if console else ("iso", True)
    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt=time_format, utc=utc, key="time"),
        _who_on_console(node or process) if console else _who(process, node),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # the plain traceback: it has no local variables
        _redact,
    ]


def _trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name what the event belongs to, unless the line does so itself."""
    now = trace.current()
    return {**event, "trace": now} if now and "trace" not in event else event


def _who(process: str, node: str) -> Processor:
    names = {"process": process, "node": node} if node else {"process": process}

    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **names}

    return add


def _who_on_console(who: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "logger": f"{who} {event.get('logger') or ''}".rstrip()}

    return add


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Clean everything but structlog's own notes, which the formatter takes out again."""
    notes = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
    return {**clean_items(event), **notes}


def _formatter(shared: list[Processor], *, console: bool, colors: bool) -> logging.Formatter:
    render = _console(colors=colors) if console else _json_line
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _trace, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _console(*, colors: bool) -> Processor:
    return ConsoleRenderer(
        colors=colors, exception_formatter=plain_traceback, sort_keys=False, timestamp_key="time", pad_event_to=24
    )


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return orjson.dumps({**first, **event}, default=repr).decode()


def wants_colors(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user did not ask for plain text.

    Args:
        stream: Where lines go.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; a record that cannot be formatted is told of without its values."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report a failure to log; the default prints the arguments, secrets and all."""
        error = sys.exc_info()[0]
        if error is None or (issubclass(error, OSError | ValueError) and self.stream.closed):
            return
        place = f"{record.pathname}:{record.lineno}"
        try:
            self.stream.write(f"a log line of {place} could not be written: {error.__name__}\n")
        except (OSError, ValueError):  # the terminal is gone: there is nobody to tell
            return


def _log_what_nobody_caught() -> None:
    """Send what Python itself would print, unredacted, through the log."""

    def main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            get_logger("process").info("interrupted")
        else:
            get_logger("process").critical("uncaught exception", exc_info=(kind, error, trace))

    def thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            get_logger("process").critical("uncaught exception in a thread", exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            get_logger("process").error("exception nobody could catch", exc_info=args.exc_value)

    sys.excepthook = main_thread
    threading.excepthook = thread
    sys.unraisablehook = unraisable


def _configure_bare() -> None:
    """Set up logging for code that runs outside a process of ours, such as an author's test."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _trace,
            structlog.stdlib.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redact,
            _console(colors=False),
        ],
        logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


@lru_cache(maxsize=256)
def get_logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a name; `trace` and other context variables are added to each event.

    Args:
        name: An app's name, or the part of the program that speaks.
    """
    if not structlog.is_configured():
        _configure_bare()
    return cast("FilteringBoundLogger", structlog.get_logger(name))


class LogSource:
    """Gives a class its logger: `self.log`, named after `self.name` if that is set, else after the class."""

    @property
    def log(self) -> FilteringBoundLogger:
        """The logger: `self.log.info("counted", clicks=3)`."""
        return get_logger(getattr(self, "name", None) or type(self).__name__)
