"""The exceptions an app's author raises to say no, and one to expect.

Exception
├── AppError        one message cannot be served; becomes an `error` message, the connection lives on
├── LoginRefused    this client may not come in; becomes a close for good
└── OutcomeUnknown  nobody knows whether a call of the Bot API was made
"""

from shared.close_codes import CloseCode, check_code

__all__ = ["AppError", "LoginRefused", "OutcomeUnknown"]


class AppError(Exception):
    """What a client asked for cannot be done; the client is told `msg` and `code`.

    Args:
        text: for people.
        code: for programs.
    """

    def __init__(self, text: str, *, code: str = "error") -> None:
        super().__init__(text)
        self.code = code


class LoginRefused(Exception):
    """A client may not log in.

    Args:
        reason: machine-readable and short, as the client is told: `hash`, `expired`, `session`, `banned`, …
        code: the close code; from 4500 on the client stays away.

    Raises:
        ValueError: the code cannot be sent.
    """

    def __init__(self, reason: str = CloseCode.LOGIN_REFUSED.reason, *, code: int = CloseCode.LOGIN_REFUSED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = check_code(code)


class OutcomeUnknown(Exception):
    """Nobody can tell whether Telegram did what a call asked for, and a repeat could do it twice.

    Inside a hook the next try of the update gets this again, in place of a second send.

    Args:
        method: of the Bot API.
        why: what happened.
    """

    def __init__(self, method: str, why: str) -> None:
        super().__init__(f"{method}: Telegram may have done it or not: {why}")
        self.method = method
