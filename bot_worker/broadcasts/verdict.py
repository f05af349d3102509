"""What the result of a call says about one recipient of a broadcast job."""

from dataclasses import dataclass
from typing import Literal

import orjson

from mini_apps.audience import cannot_be_written_to
from shared.calls import CallResult


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now.

    Attributes:
        what: count the recipient as `sent`, `blocked`, `failed` or `unknown`; try `again`; or `stop` the job.
        reason: for people.
    """

    what: Literal["sent", "blocked", "failed", "unknown", "again", "stop"]
    reason: str = ""


def judge(result: CallResult) -> Verdict:
    """Tell what became of a recipient.

    Source: https://core.telegram.org/bots/api#making-requests

    Args:
        result: of the call.
    """
    if result.outcome == "unknown":
        return Verdict("unknown")
    if result.outcome != "answered" or result.status == 429:
        return Verdict("again", result.reason if result.outcome != "answered" else "")
    if result.status < 300:
        return Verdict("sent")
    text = _description(result.body)
    if cannot_be_written_to(result.status, text):
        return Verdict("blocked")
    if result.status in (401, 404):  # the token is no more, or Telegram does not know the method
        return Verdict("stop", text)
    return Verdict("failed", text)


def _description(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["description"])[:200]
    except (ValueError, KeyError, TypeError):
        return "an answer that is not Telegram's"
