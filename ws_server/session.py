"""The conversation with one client as a pure state machine: what a message leads to, given where we stand."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from shared import messages
from shared.messages import Ack, AppMessage, ClientMessage, Login, Ping, Pong, Subscribe, Unsubscribe


class Stage(Enum):
    """Where a connection stands."""

    HANDSHAKE = auto()
    OPEN = auto()
    LOGGING_IN = auto()
    READY = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class StartLogin:
    """Check who this is."""

    login: Login


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Put the message behind the earlier ones of this client, to be handled in order."""

    message: AppMessage | Subscribe | Unsubscribe


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this at once."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Confirm:
    """The client has the message that carried this id."""

    ack: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do."""


Action = StartLogin | Enqueue | Answer | Confirm | Nothing

PONG = Answer({"type": "pong"})
NOTHING = Nothing()


def decide(stage: Stage, app: str | None, message: ClientMessage) -> Action:
    """Return what `message` leads to.

    Args:
        stage: where the connection stands.
        app: the app it is logged in to, or logs in to now.
        message: what the client said.
    """
    match message:
        case Ping():
            return PONG
        case Pong():
            return NOTHING
        case Ack(ack=ack):
            return Confirm(ack) if stage is Stage.READY else NOTHING
        case Login():
            if stage is Stage.OPEN:
                return StartLogin(message)
            return Answer(messages.error(f"You are logged in to {app} already", "login"))
        case AppMessage() if message.app not in (None, app) and stage is not Stage.OPEN:
            return Answer(messages.error(f"You are logged in to {app}, not to another app", "app", message.id))
    if stage is Stage.OPEN:
        return Answer(messages.error(messages.NOT_LOGGED_IN, "login", message.id))
    return Enqueue(message)
