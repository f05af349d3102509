"""The WebSocket close codes: the one table, held equal to `docs/protocol.md` by a test.

The range carries the reconnect policy: a client comes back after 1000–1015 (except those the server maps to 4503) and
after 4000–4499, and stays away after 4500–4999.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """Close codes the server sends, with the default reason text as `reason`."""

    reason: str

    def __new__(cls, value: int, reason: str) -> "CloseCode":
        """Attach the reason to the number."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.reason = reason
        return member

    NORMAL = 1000, "closed"
    ABNORMAL = 1006, "lost"
    INTERNAL_ERROR = 1011, "internal error"
    LOGIN_TIMEOUT = 4001, "login timeout"
    SLOW_CONSUMER = 4002, "slow consumer"
    TOO_MANY_MESSAGES = 4003, "too many messages"
    NODE_FULL = 4004, "node full"
    DRAINING = 4005, "draining"
    RESYNC = 4006, "resync"
    NO_BROKER = 4007, "no broker"
    LOGIN_REFUSED = 4500, "refused"
    BANNED = 4501, "banned"
    REPLACED = 4502, "replaced"
    PROTOCOL_ERROR = 4503, "protocol error"
    ORIGIN_REFUSED = 4504, "origin refused"
    IDLE = 4505, "idle"

    @property
    def for_good(self) -> bool:
        """Whether a client must not come back by itself after this code."""
        return self >= FIRST_FATAL


FIRST_FATAL = 4500

SENDABLE = (range(1000, 1004), range(1007, 1015), range(3000, 5000))  # RFC 6455, section 7.4


def check_code(code: int) -> int:
    """Return a close code that can be sent.

    Raises:
        ValueError: it cannot; the text names those for apps.
    """
    if not any(code in codes for codes in SENDABLE):
        raise ValueError(
            f"{int(code)} is no close code: take 1000, 4000 to 4499 (come back) or 4500 to 4999 (stay away)"
        )
    return int(code)
