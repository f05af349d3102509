"""The words of the command line: options in any place, messages typed by a person."""

import pytest

from mini_apps.cli.problem import Problem
from mini_apps.cli.words import parse_message, settings_first


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["dev", "app:X"], ["dev", "app:X"]),
        (
            ["users", "list", "--settings", "a.toml", "--app", "x"],
            ["--settings", "a.toml", "users", "list", "--app", "x"],
        ),
        (["check", "--settings=a.toml"], ["--settings=a.toml", "check"]),
        (["--settings", "a.toml", "check"], ["--settings", "a.toml", "check"]),
        (["check", "--settings"], ["--settings", "check"]),
        (["sandbox", "--", "--settings", "a"], ["sandbox", "--", "--settings", "a"]),
    ],
)
def test_settings_may_stand_anywhere(given: list[str], meant: list[str]) -> None:
    assert settings_first(given) == meant


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("click", {"type": "click"}),
        (" click by=2 ", {"type": "click", "by": 2}),
        ('say text=hello loud=true id="7"', {"type": "say", "text": "hello", "loud": True, "id": "7"}),
        ("say text=a=b empty=", {"type": "say", "text": "a=b", "empty": ""}),
        ('{"type": "move", "to": [1, 2]}', {"type": "move", "to": [1, 2]}),
    ],
)
def test_a_typed_line_is_a_message(line: str, message: dict[str, object]) -> None:
    assert parse_message(line) == message


@pytest.mark.parametrize("line", ["{bad", "click by", "click =3"])
def test_a_line_that_is_none_says_why(line: str) -> None:
    with pytest.raises(Problem, match="not sent: "):
        parse_message(line)
