"""What the Bot API answers when it refuses, and what the page answers when an action is impossible."""

from typing import Any

ApiErrorBody = dict[str, Any]


class ApiError(Exception):
    """A refusal in Telegram's shape.

    Args:
        code: the `error_code`, which is the HTTP status too.
        description: Telegram's text, such as `Bad Request: chat not found`.
        retry_after: seconds to wait, sent as `parameters.retry_after` with 429.
        migrate_to: where a group went that became a supergroup, sent as `parameters.migrate_to_chat_id`.
    """

    def __init__(
        self, code: int, description: str, *, retry_after: int | None = None, migrate_to: int | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after
        self.migrate_to = migrate_to

    def body(self) -> ApiErrorBody:
        """Return the JSON object Telegram sends."""
        body: ApiErrorBody = {"ok": False, "error_code": self.code, "description": self.description}
        if self.retry_after is not None:
            body["parameters"] = {"retry_after": self.retry_after}
        if self.migrate_to is not None:
            body["parameters"] = {"migrate_to_chat_id": self.migrate_to}
        return body


def bad_request(text: str) -> ApiError:
    """Return a 400 with Telegram's prefix."""
    return ApiError(400, f"Bad Request: {text}")


def too_many_requests(seconds: int) -> ApiError:
    """Return a 429 that asks to wait so many seconds."""
    return ApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


class ActionError(Exception):
    """A user of the page asked for something that cannot be done; the text says what and what to do.

    Args:
        text: shown on the page.
        status: HTTP status of the answer.
    """

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
