"""The exceptions an app's author raises to say no.

Exception
├── AppError        one message cannot be served; becomes an `error` message, the connection lives on
└── LoginRefused    this client may not come in; becomes a close for good
"""

from shared.close_codes import CloseCode, check_code

__all__ = ["AppError", "LoginRefused"]


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
