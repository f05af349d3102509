"""Bot commands: methods of an app, registered by a decorator and collected by the metaclass.

Source: https://core.telegram.org/bots/api#botcommand.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

__all__ = ["BotCommand", "Call", "MetaBot", "bot_command", "commands_of", "parse_command"]

MAX_DESCRIPTION: Final = 256
_TRIGGER: Final = re.compile(r"[a-z0-9_]{1,32}")
_COMMAND: Final = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]+))?(?:\s+(.*))?", re.DOTALL)
_MARK: Final = "__bot_command__"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class BotCommand:
    """What the bot menu needs to know of a command.

    Attributes:
        trigger: without the slash.
        description: as shown in the menu.
        hidden: whether the menu leaves it out.
        admin_only: whether it exists for admins only; the menu leaves it out too.
    """

    trigger: str
    description: str
    hidden: bool = False
    admin_only: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A command as somebody sent it: the trigger in lower case, and what followed, stripped, with all its lines."""

    trigger: str
    args: str


class MetaBot(type):
    """Checks the commands of an app when its class is made, so that a mistake shows at import.

    Raises:
        TypeError: two methods of the class have the same trigger.
    """

    def __init__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, attrs, **options)
        methods: dict[str, str] = {}
        for method, value in attrs.items():
            command = marked(value)
            if command is None:
                continue
            other = methods.setdefault(command.trigger, method)
            if other != method:
                raise TypeError(f"{name}: {other} and {method} are both the command /{command.trigger}; rename one")


@overload
def bot_command(trigger: Function, /) -> Function: ...


@overload
def bot_command(
    trigger: str | None = None,
    description: str | None = None,
    hidden: bool = ...,  # noqa: FBT001 - the reference page's order, which callers may rely on
    admin_only: bool = ...,  # noqa: FBT001 - the same
) -> Callable[[Function], Function]: ...


def bot_command(
    trigger: Any = None,
    description: str | None = None,
    hidden: bool = False,  # noqa: FBT001, FBT002 - the reference page's order, which callers may rely on
    admin_only: bool = False,  # noqa: FBT001, FBT002 - the same
) -> Any:
    """Register a method as a bot command, bare or with arguments.

        @App.bot_command
        async def start(self, args, event):
            "Open the game"
            return event.answer("Welcome")

    A subclass that overrides the method keeps the registration; one that sets it to None takes the command away.

    Args:
        trigger: what follows the slash, 1 to 32 of a-z, 0-9 and _; the function's name when not given.
        description: as shown in the bot menu, 1 to 256 characters; the first line of the docstring when not given,
            else the trigger.
        hidden: leave it out of the menu.
        admin_only: to everybody who is not an admin the command does not exist.

    Raises:
        ValueError: Telegram would not take the trigger or the description.
        TypeError: the method does not take `(self, args, event)`.
    """
    if callable(trigger):
        return _mark(trigger, None, None, hidden=hidden, admin_only=admin_only)

    def decorate(function: Function) -> Function:
        return _mark(function, trigger, description, hidden=hidden, admin_only=admin_only)

    return decorate


def commands_of(app_class: type) -> dict[str, tuple[str, BotCommand]]:
    """Collect the commands of a class: trigger to method name and command, base classes first.

    It looks at the classes as they are now, so a method that was replaced later counts.

    Args:
        app_class: the class of an app; mixins need no special base.
    """
    methods: dict[str, BotCommand | None] = {}
    for one in reversed(app_class.__mro__):
        for name, value in vars(one).items():
            command = marked(value) if hasattr(value, _MARK) else None  # of a hundred names few have one
            if command is not None:
                methods.pop(name, None)  # the order of the menu is that of the latest registration
                methods[name] = command
            elif value is None and name in methods:
                methods[name] = None
    return {command.trigger: (name, command) for name, command in methods.items() if command is not None}


def parse_command(text: str | None, username: str | None) -> Call | None:
    """Read a message's text or caption as a command to this bot.

    Args:
        text: as sent.
        username: of this bot; where it is unknown a command with any `@username` is not ours.

    Returns:
        The command, or None where the text is none or is for another bot.
    """
    match = _COMMAND.fullmatch(text) if text else None
    if match is None:
        return None
    trigger, addressee, args = match.groups()
    if addressee is not None and addressee.lower() != (username or "").lower():
        return None
    return Call(trigger.lower(), (args or "").strip())


def _mark(
    function: Function, trigger: str | None, description: str | None, *, hidden: bool, admin_only: bool
) -> Function:
    name = function.__name__
    command = BotCommand(_trigger(trigger, name), "", hidden, admin_only)
    try:
        inspect.signature(function).bind(None, "", None)
    except TypeError:
        raise TypeError(f"bot command {name}: define it as `async def {name}(self, args, event)`") from None
    lines = (inspect.getdoc(function) or "").strip().splitlines() if description is None else [description]
    described = (lines[0].strip() if lines else "") or (command.trigger if description is None else "")
    if not 1 <= len(described) <= MAX_DESCRIPTION:
        raise ValueError(f"bot command {name}: its description has {len(described)} characters; 1 to 256 are allowed")
    setattr(function, _MARK, BotCommand(command.trigger, described, hidden, admin_only))
    return function


def _trigger(given: str | None, name: str) -> str:
    trigger = name.lower() if given is None else given.removeprefix("/")
    if not _TRIGGER.fullmatch(trigger):
        wanted = "1 to 32 of a-z, 0-9 and _"
        raise ValueError(f"bot command {name}: the trigger {trigger!r} is none that Telegram takes: {wanted}")
    return trigger


def marked(value: Any) -> BotCommand | None:
    """Return the command that `bot_command` made of a method; None for any other."""
    command = getattr(value, _MARK, None) if callable(value) and not isinstance(value, type) else None
    return command if isinstance(command, BotCommand) else None
