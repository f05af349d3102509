"""Bot commands: registration, inheritance, parsing, mistakes."""

from typing import Any

import pytest

from mini_apps.app import App, MetaBot
from mini_apps.bot_commands import menu
from mini_apps.commands import BotCommand, Call, bot_command, commands_of, parse_command

SETTINGS = {"bot-token": "42:test", "admins": [7]}


class Base(App):
    @App.bot_command
    async def start(self, args: str, event: Any) -> Any:
        """Open the game.

        More that the menu does not show.
        """
        return ("base", args, event)

    @App.bot_command("halt", "Stop it", hidden=True)
    async def stop_it(self, args: str, event: Any) -> Any:
        return None

    @App.bot_command(admin_only=True)
    def reset(self, args: str, event: Any) -> Any:
        return None


class Derived(Base):
    async def start(self, args: str, event: Any) -> Any:
        return ("derived", args, event)

    stop_it = None


class Mixin:
    @bot_command(description="From a mixin")
    async def extra(self, args: str, event: Any) -> Any:
        return "extra"


def test_the_metaclass_is_metabot() -> None:
    assert type(Base) is MetaBot
    assert issubclass(MetaBot, type)


def test_trigger_and_description_by_default_and_by_argument() -> None:
    assert {name: command for name, (_, command) in commands_of(Base).items()} == {
        "start": BotCommand("start", "Open the game."),
        "halt": BotCommand("halt", "Stop it", hidden=True),
        "reset": BotCommand("reset", "reset", admin_only=True),
    }
    assert menu(Base) == [BotCommand("start", "Open the game.")]


async def test_an_override_keeps_the_registration_and_runs_itself() -> None:
    assert await Base(SETTINGS).on_telegram_command("start", "x", "event")
    seen: list[Any] = []

    class Noting(Derived):
        async def start(self, args: str, event: Any) -> Any:
            seen.append(await super().start(args, event))

    assert await Noting(SETTINGS).on_telegram_command("start", "a b", "event") is True
    assert seen == [("derived", "a b", "event")]
    assert await Noting(SETTINGS).on_telegram_command("halt", "", "event") is False
    assert await Noting(SETTINGS).on_telegram_command("nothing", "", "event") is False


def test_a_command_set_to_none_is_gone_and_mixins_count() -> None:
    class Mixed(Mixin, Derived):
        pass

    assert set(commands_of(Mixed)) == {"start", "reset", "extra"}
    assert commands_of(Mixed)["extra"] == ("extra", BotCommand("extra", "From a mixin"))


async def test_lookup_follows_the_class_as_it_is_now() -> None:
    class Changing(Base):
        pass

    async def later(self: Any, args: str, event: Any) -> Any:
        raise LookupError

    Changing.start = later  # type: ignore[method-assign]  # what this test is about
    with pytest.raises(LookupError):
        await Changing(SETTINGS).on_telegram_command("start", "", None)


def test_a_new_trigger_on_an_override_replaces_the_old_one() -> None:
    class Renamed(Base):
        @App.bot_command("begin", "Begin")
        async def start(self, args: str, event: Any) -> Any:
            return None

    assert "start" not in commands_of(Renamed)
    assert commands_of(Renamed)["begin"][0] == "start"


@pytest.mark.parametrize("trigger", ["", "Start", "with-dash", "x" * 33, "größe", "two words", "//x"])
def test_triggers_telegram_refuses_are_refused_at_the_class(trigger: str) -> None:
    with pytest.raises(ValueError, match=r"bot command go: the trigger .* is none that Telegram takes: 1 to 32"):

        class _Bad(App):
            @App.bot_command(trigger)
            async def go(self, args: str, event: Any) -> Any:
                return None


@pytest.mark.parametrize("description", ["", "x" * 257])
def test_descriptions_telegram_refuses_are_refused(description: str) -> None:
    with pytest.raises(ValueError, match="bot command go: its description"):

        class _Bad(App):
            @App.bot_command("go", description)
            async def go(self, args: str, event: Any) -> Any:
                return None


def test_a_method_with_other_parameters_is_refused() -> None:
    with pytest.raises(TypeError, match=r"define it as `async def go\(self, args, event\)`"):

        class _Bad(App):
            @App.bot_command
            async def go(self) -> Any:
                return None


def test_two_methods_with_one_trigger_are_refused() -> None:
    with pytest.raises(TypeError, match=r"_Bad: one and two are both the command /go"):

        class _Bad(App):
            @App.bot_command("go")
            async def one(self, args: str, event: Any) -> Any:
                return None

            @App.bot_command("go")
            async def two(self, args: str, event: Any) -> Any:
                return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/start", Call("start", "")),
        ("/Start  a b ", Call("start", "a b")),
        ("/start@CounterBot x", Call("start", "x")),
        ("/start@counterBOT", Call("start", "")),
        ("/start@OtherBot x", None),
        ("/say one\ntwo\n\nthree\n", Call("say", "one\ntwo\n\nthree")),
        ("/say\nbelow", Call("say", "below")),
        ("/", None),
        ("/start,now", None),
        ("start", None),
        (" /start", None),
        ("", None),
        (None, None),
        ("/" + "x" * 33, None),
    ],
)
def test_parsing(text: str | None, expected: Call | None) -> None:
    assert parse_command(text, "CounterBot") == expected


def test_an_addressed_command_is_nobodys_while_the_bot_is_unknown() -> None:
    assert parse_command("/start@CounterBot", None) is None
