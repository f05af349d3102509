"""What goes wrong on purpose: errors, lost answers, broken connections, floods; the rules, which the server obeys."""

from random import Random
from typing import Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from sandbox.errors import ActionError
from sandbox.params import Params

MAX_FAULTS = 100

Kind = Literal["error", "flood", "reset", "cut", "silence", "slow"]


@checked_dataclass(slots=True, config=ConfigDict(extra="forbid"))
class Fault:
    """One rule.

    Args:
        kind: `error` answers `code` before anything is done, `flood` 429 with `seconds`; `reset` breaks the connection
            before anything is done, `cut` after it; `silence` does it and does not answer for `seconds`; `slow` does
            it and answers after `seconds`.
        method: the Bot API method, in any case; empty: every one but getUpdates.
        chat: only calls with this `chat_id`; 0: all.
        times: how often it strikes; 0: until it is taken away.
        share: of the calls that fit, chosen by chance.
        code: of `error`.
        seconds: of `flood`, `silence` and `slow`.
    """

    kind: Kind
    method: str = ""
    chat: int = 0
    times: int = Field(default=1, ge=0)
    share: float = Field(default=1.0, gt=0, le=1)
    code: int = Field(default=500, ge=400, le=599)
    seconds: float = Field(default=30.0, ge=0)

    def fits(self, method: str, params: Params) -> bool:
        """Tell whether a call is one of those it strikes."""
        name = method.lower()
        wanted = name == self.method.lower() if self.method else name != "getupdates"
        return wanted and (not self.chat or params.integer("chat_id") == self.chat)


_FAULT = TypeAdapter(Fault)


def parse(value: object) -> Fault:
    """Return the fault that JSON values describe.

    Raises:
        ActionError: says what is wrong with them.
    """
    try:
        return _FAULT.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ActionError(f"fault: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


class Faults:
    """The rules of one bot, in the order in which they were given."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a rule behind the others.

        Raises:
            ActionError: there are too many.
        """
        if len(self.rules) >= MAX_FAULTS:
            raise ActionError(f"there are {MAX_FAULTS} faults already")
        self.rules.append(fault)

    def strike(self, method: str, params: Params, rng: Random) -> Fault | None:
        """Return the first rule that strikes a call, and count it."""
        for at, fault in enumerate(self.rules):
            if fault.fits(method, params) and (fault.share >= 1 or rng.random() < fault.share):
                if fault.times == 1:
                    del self.rules[at]
                elif fault.times:
                    fault.times -= 1
                return fault
        return None
