"""The table of Bot API methods and how one is called; each is a plain function of the state.

Source: https://core.telegram.org/bots/api#available-methods
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox.errors import ApiError
from sandbox.params import Params
from sandbox.state import Bot, World


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method: whose, with what, when (unix seconds), and which, in small letters."""

    world: World
    bot: Bot
    params: Params
    now: float
    name: str


Method = Callable[[Call], Any]

METHODS: dict[str, Method] = {}


MethodT = TypeVar("MethodT", bound=Method)


def method(name: str) -> Callable[[MethodT], MethodT]:
    """Register a function under a Bot API method name, which ignores case as Telegram does."""

    def register(function: MethodT) -> MethodT:
        METHODS[name.lower()] = function
        return function

    return register


def execute(call: Call) -> Any:
    """Run the method of a call and return its result as JSON values.

    Raises:
        ApiError: Telegram's refusal; 404 for a method that is not there.
    """
    if call.now < call.bot.logged_out_until:
        raise ApiError(400, "Logged out")
    function = METHODS.get(call.name)
    if function is None:
        raise ApiError(404, "Not Found")
    return function(call)
