"""What a person sees of a child's output."""

import json
from typing import Any

from mini_apps.cli.dev.lines import Style, plain, render

STYLE = Style(apps={"counter"})


def entry(**fields: Any) -> str:
    return json.dumps(
        {"time": "2026-11-22T16:00:01.5Z", "level": "info", "event": "ready", "logger": "process", **fields}
    )


def test_our_own_chatter_is_held_back() -> None:
    assert render("ws-1", entry(), STYLE) is None
    assert render("ws-1", entry(level="warning", logger="settings"), STYLE) is None


def test_warnings_are_shown() -> None:
    line = render("ws-1", entry(level="warning", event="Redis is gone", url="127.0.0.1:1", tries=3), STYLE)
    assert line is not None
    assert line.startswith("ws-1     ")
    assert line.endswith("warning Redis is gone url=127.0.0.1:1 tries=3")


def test_what_the_app_logs_is_shown() -> None:
    line = render("bot", entry(logger="counter", event="clicked", clicks=3, who="Ada L"), STYLE)
    assert line is not None
    assert line.endswith(' clicked clicks=3 who="Ada L"')


def test_the_correlation_id_is_shown() -> None:
    line = render("ws-1", entry(logger="counter", event="clicked", trace="update-17"), STYLE)
    assert line is not None
    assert line.endswith(" clicked trace=update-17")


def test_verbose_shows_all() -> None:
    assert render("ws-1", entry(), Style(verbose=True)) is not None


def test_a_traceback_follows_in_lines_of_its_own() -> None:
    line = render("bot", entry(level="error", event="a hook failed", exception="Traceback:\n  boom"), STYLE)
    assert line is not None
    assert line.splitlines()[1:] == ["         Traceback:", "           boom"]


def test_what_is_no_log_line_is_shown_as_it_is() -> None:
    assert render("ws-1", "printed by the author", STYLE) == "ws-1     printed by the author"
    assert render("ws-1", '{"my": "json"}', STYLE) == 'ws-1     {"my": "json"}'
    assert render("ws-1", "", STYLE) is None


def test_colors_only_where_asked_for() -> None:
    assert "\x1b" not in (render("ws-1", entry(level="error"), STYLE) or "")
    assert "\x1b[31merror" in (render("ws-1", entry(level="error"), Style(colors=True)) or "")


def test_the_heart_of_a_line() -> None:
    assert plain(entry(event="no such class")) == "no such class"
    assert plain(" ModuleNotFoundError: x ") == "ModuleNotFoundError: x"
