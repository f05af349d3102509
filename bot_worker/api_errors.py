"""What a failed call of the Bot API means for whoever keeps calling."""

from typing import Final

from aiogram.exceptions import (
    ClientDecodeError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

FATAL: Final = (TelegramUnauthorizedError, TelegramNotFound)  # the token is revoked, or none; waiting does not help
PASSING: Final = (TelegramRetryAfter, TelegramNetworkError, TelegramServerError, ClientDecodeError)
DELAYS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds; the last one repeats


class TokenRefused(Exception):
    """Telegram does not know the bot's token."""

    def __init__(self, app: str) -> None:
        super().__init__(
            f"Telegram refused the bot token: get the current one from @BotFather, see apps.{app}.bot-token"
        )


def delay(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row, from 1."""
    return DELAYS[min(failures, len(DELAYS)) - 1]


def wait_after(error: Exception, failures: int) -> float:
    """Return the seconds to wait before the call is repeated: what Telegram asks for, else longer and longer."""
    return float(error.retry_after) if isinstance(error, TelegramRetryAfter) else delay(failures)
