"""Polls: who voted for what.

Source: https://core.telegram.org/bots/api#poll
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ActionError, bad_request
from sandbox.model import Json

OPTIONS = range(1, 13)
MAX_OPTION = 100


@dataclass(slots=True)
class Poll:
    """A poll in one message.

    Attributes:
        options: their texts.
        correct: of a quiz, the numbers of the right options.
        votes: numbers of options by user id.
    """

    id: str
    question: str
    options: tuple[str, ...]
    anonymous: bool = True
    multiple: bool = False
    kind: str = "regular"
    correct: tuple[int, ...] = ()
    closed: bool = False
    chat: int = 0
    message_id: int = 0
    votes: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def vote(self, user: int, options: Sequence[int]) -> None:
        """Let somebody vote, or take the vote back with no option.

        Raises:
            ActionError: the poll is closed, or this is no valid vote.
        """
        if self.closed:
            raise ActionError("this poll is closed")
        if any(option not in range(len(self.options)) for option in options) or len(set(options)) < len(options):
            raise ActionError("there is no such option")
        if len(options) > 1 and not self.multiple:
            raise ActionError("only one answer, please")
        if self.kind == "quiz" and user in self.votes:
            raise ActionError("a quiz is answered once")
        if options:
            self.votes[user] = tuple(options)
        else:
            self.votes.pop(user, None)

    def to_api(self) -> Json:
        """Return the Bot API `Poll`."""
        counts = [sum(option in chosen for chosen in self.votes.values()) for option in range(len(self.options))]
        result: Json = {
            "id": self.id,
            "question": self.question,
            "options": [
                {"persistent_id": str(number), "text": text, "voter_count": count}
                for number, (text, count) in enumerate(zip(self.options, counts, strict=True))
            ],
            "total_voter_count": len(self.votes),
            "is_closed": self.closed,
            "is_anonymous": self.anonymous,
            "type": self.kind,
            "allows_multiple_answers": self.multiple,
            "allows_revoting": self.kind != "quiz",
            "members_only": False,
        }
        return {**result, "correct_option_ids": list(self.correct)} if self.kind == "quiz" else result


def option_texts(options: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts of the options a call gives, as strings or as objects.

    Raises:
        ApiError: too few, too many, or one is empty or too long.
    """
    texts = [str(option.get("text", "") if isinstance(option, dict) else option) for option in options]
    if len(texts) not in OPTIONS:
        raise bad_request("poll must have at least 1 option" if not texts else "poll can't have more than 12 options")
    if not all(0 < len(text) <= MAX_OPTION for text in texts):
        raise bad_request("poll option length must not exceed 100")
    return tuple(texts)
