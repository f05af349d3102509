"""The whole local Telegram as plain state: users, bots, chats, pending queries; no clock, no socket.

What happened in it is left in `outbox` for the pages and in `woken` for whoever delivers updates; the HTTP shell
takes both after every step.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sandbox.config import BotConfig
from sandbox.crowd import Crowd
from sandbox.errors import ActionError, ApiError, bad_request
from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.limits import Limits
from sandbox.model import NO_TEXT, Chat, Event, Json, Member, Message, RichText, User
from sandbox.pending import Pending
from sandbox.polls import Poll
from sandbox.till import Till
from sandbox.traffic import KEPT, Entry
from sandbox.updates import QueueFullError, UpdateQueue
from shared.trace import of_update

MAX_MESSAGES = 1000  # per chat; the oldest are forgotten
QUERY_SECONDS = 60.0  # how long callback and inline queries can be answered
WEB_APP_QUERY_SECONDS = 3600.0
PREPARED_SECONDS = 24 * 3600.0  # how long a prepared message can be shared


@dataclass(slots=True)
class Webhook:
    """Where a bot wants its updates, and how delivery went last."""

    url: str
    secret: str = ""
    max_connections: int = 40
    ip_address: str = ""
    last_error_date: int | None = None
    last_error: str = ""


@dataclass(slots=True)
class Dialog:
    """One chat as one bot sees it; a group belongs to the bot it was made with.

    Attributes:
        started: whether the bot may write: the user pressed START, or it is in the group.
        blocked: whether the user blocked it, or it was thrown out of the group.
        members: of a group, the bot and those who left among them, by user id.
    """

    chat: Chat
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_MESSAGES))
    started: bool = False
    blocked: bool = False
    keyboard: Json | None = None
    members: dict[int, Member] = field(default_factory=dict)
    pinned: list[int] = field(default_factory=list)  # message ids, the newest last
    reactions: dict[int, dict[int, list[str]]] = field(default_factory=dict)  # by message and user
    description: str = ""
    permissions: dict[str, bool] = field(default_factory=dict)  # of members; empty: all
    invites: dict[str, Json] = field(default_factory=dict)  # links into a group, by their last part
    moved_to: int = 0  # of a group that became a supergroup: its new id

    @property
    def is_group(self) -> bool:
        """Whether this is no private chat."""
        return self.chat.id < 0

    def has(self, user: User) -> bool:
        """Tell whether somebody is in this chat."""
        member = self.members.get(user.id)
        return member.is_there if member else self.chat.id == user.id


@dataclass(frozen=True, slots=True)
class Query:
    """A callback query, inline query or mini app session that waits for its answer, and where it was made."""

    user: User
    dialog: Dialog
    data: Json = field(default_factory=dict)


@dataclass(slots=True)
class Bot:
    """A bot with everything Telegram keeps for it."""

    config: BotConfig
    user: User
    queue: UpdateQueue
    opened: float
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    crowd: Crowd = field(default_factory=Crowd)
    calls: Counter[str] = field(default_factory=Counter)  # by method in small letters, once its result was there
    refusals: Counter[int] = field(default_factory=Counter)  # by error code
    webhook: Webhook | None = None
    logged_out_until: float = 0.0
    dialogs: dict[int, Dialog] = field(default_factory=dict)
    commands: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    menu_buttons: dict[int | None, Json] = field(default_factory=dict)
    callback_queries: Pending[Query] = field(default_factory=lambda: Pending(QUERY_SECONDS))
    inline_queries: Pending[Query] = field(default_factory=lambda: Pending(QUERY_SECONDS))
    inline_answers: Pending[Json] = field(default_factory=lambda: Pending(QUERY_SECONDS * 10))
    web_app_queries: Pending[Query] = field(default_factory=lambda: Pending(WEB_APP_QUERY_SECONDS))
    inline_messages: Pending[tuple[int, int]] = field(default_factory=lambda: Pending(float("inf")))
    prepared: Pending[Query] = field(default_factory=lambda: Pending(PREPARED_SECONDS))
    till: Till = field(default_factory=Till)
    polls: Pending[Poll] = field(default_factory=lambda: Pending(float("inf")))
    profile: dict[tuple[str, str], str] = field(default_factory=dict)  # texts by what they are and language
    wanted_rights: dict[str, bool] = field(default_factory=dict)
    last_message_id: int = 0
    privacy: bool = True  # hears in groups only what is meant for it, as set up with @BotFather

    @property
    def id(self) -> int:
        """The bot's user id."""
        return self.user.id


class World:
    """All bots and users of one sandbox.

    Args:
        bots: their configuration; tokens are unique.
        users: the people at the start.
        rng: makes query ids and the first update ids.
        now: unix seconds; the moment this Telegram began.
    """

    def __init__(self, bots: Iterable[BotConfig], users: Iterable[User], rng: Random, now: float) -> None:
        self.rng = rng
        self.users: dict[int, User] = {user.id: user for user in users}
        self.bots: dict[int, Bot] = {}
        self.files = Files(rng)
        self.outbox: list[Event] = []
        self.woken: set[int] = set()
        self.noted: deque[Entry] = deque(maxlen=KEPT)  # for the traffic panel
        for config in bots:
            self.bots[config.id] = Bot(config, _bot_user(config), UpdateQueue(rng), opened=now, privacy=config.privacy)
        self._tokens = {bot.config.token: bot for bot in self.bots.values()}

    def bot_by_token(self, token: str) -> Bot | None:
        """Return the bot whose token this is."""
        return self._tokens.get(token)

    def new_id(self) -> str:
        """Return a fresh id for a query, as many digits as Telegram's."""
        return str(self.rng.randrange(10**18, 9 * 10**18))

    def add_user(self, first_name: str, **fields: Any) -> User:
        """Add a person and return it; ids go on from the highest."""
        user = User(max([1000, *self.users]) + 1, first_name, **fields)
        self.users[user.id] = user
        self.emit("user", {"user": user.to_api()})
        return user

    def dialog(self, bot: Bot, user: User) -> Dialog:
        """Return the private chat of a user with a bot, made when they meet."""
        if user.id not in bot.dialogs:
            bot.dialogs[user.id] = Dialog(Chat(user.id, user=user))
        return bot.dialogs[user.id]

    def preview(self, user: User) -> Dialog:
        """Return an empty chat, for looking at one that was never opened."""
        return Dialog(Chat(user.id, user=user))

    def emit(self, kind: str, data: Json) -> None:
        """Leave something for the pages."""
        self.outbox.append(Event(kind, data))

    def emit_chat(self, bot: Bot, dialog: Dialog, kind: str, data: Mapping[str, Any] | None = None) -> None:
        """Leave something about one chat for the pages."""
        self.emit(kind, {"bot": bot.id, "chat": dialog.chat.id, **(data or {})})

    def take_outbox(self) -> tuple[list[Event], set[int]]:
        """Return and forget the events for the pages and the ids of bots whose queue or webhook changed."""
        events, woken = self.outbox, self.woken
        self.outbox, self.woken = [], set()
        return events, woken

    def update(self, bot: Bot, kind: str, payload: Json, *, order_key: int, now: float) -> None:
        """Put an update in a bot's queue.

        Raises:
            ActionError: the bot has fetched nothing for long and its queue is full.
        """
        try:
            update = bot.queue.append(kind, payload, order_key=order_key, now=now)
        except QueueFullError as error:
            raise _nobody_fetches(bot) from error
        if update is not None:
            self.noted.append(Entry(now, "update", bot.id, of_update(update.id), kind, "→ bot", update.to_api()))
        self.woken.add(bot.id)

    def require_room(self, bot: Bot) -> None:
        """Refuse before anything is shown what could not reach the bot.

        Raises:
            ActionError: the bot's queue is full.
        """
        if bot.queue.is_full:
            bot.queue.refused += 1
            raise _nobody_fetches(bot)

    def post(self, bot: Bot, dialog: Dialog, sender: User, content: RichText, now: float, **fields: Any) -> Message:
        """Add a message to a chat and show it; fields are those of `Message`."""
        bot.last_message_id += 1
        if dialog.chat.id in bot.crowd:
            bot.crowd.got(dialog.chat.id)
        message = Message(bot.last_message_id, int(now), sender, dialog.chat, content, **fields)
        dialog.messages.append(message)
        if message.inline_id:
            bot.inline_messages.add(message.inline_id, (dialog.chat.id, message.id), now)
        self.emit_chat(bot, dialog, "message", {"message": message.to_api()})
        return message

    def post_empty(
        self, bot: Bot, dialog: Dialog, sender: User, now: float, extra: Json, markup: Json | None = None
    ) -> Message:
        """Add a message that has no text; `extra` says what it has instead."""
        return self.post(bot, dialog, sender, NO_TEXT, now, extra=extra, markup=markup)

    def replace(self, bot: Bot, dialog: Dialog, message: Message, **changes: Any) -> Message:
        """Put an edited message in the place of the old one and show it."""
        edited = replace(message, **changes)
        dialog.messages[dialog.messages.index(message)] = edited
        self.emit_chat(bot, dialog, "edited", {"message": edited.to_api()})
        return edited

    def remove(self, bot: Bot, dialog: Dialog, message: Message) -> None:
        """Delete a message and take it off the pages."""
        dialog.messages.remove(message)
        dialog.reactions.pop(message.id, None)
        self.emit_chat(bot, dialog, "deleted", {"message_id": message.id})


def find_message(dialog: Dialog, message_id: int) -> Message | None:
    """Return a message of the chat, the newest looked at first."""
    return next((message for message in reversed(dialog.messages) if message.id == message_id), None)


def check_writable(dialog: Dialog) -> None:
    """Refuse what Telegram refuses a bot that writes first or was blocked.

    Raises:
        ApiError: 403 with Telegram's text.
    """
    if dialog.is_group:
        if dialog.blocked:
            raise ApiError(403, f"Forbidden: bot was kicked from the {dialog.chat.type} chat")
        if not dialog.started:
            raise ApiError(403, f"Forbidden: bot is not a member of the {dialog.chat.type} chat")
        return
    if dialog.blocked:
        raise ApiError(403, "Forbidden: bot was blocked by the user")
    if not dialog.started:
        raise ApiError(403, "Forbidden: bot can't initiate conversation with a user")


def find_dialog(world: World, bot: Bot, chat_id: str) -> Dialog:
    """Return the chat a call names by id or `@username`.

    Raises:
        ApiError: `chat_id is empty`, or the bot never met the chat.
    """
    if not chat_id:
        raise bad_request("chat_id is empty")
    found: int | None = None
    if chat_id.startswith("@"):
        names = {user.username.lower(): user.id for user in world.users.values() if user.username}
        found = names.get(chat_id[1:].lower())
    elif chat_id.removeprefix("-").isascii() and chat_id.removeprefix("-").isdigit():
        found = int(chat_id)
    if found is not None and found in bot.crowd:
        user = User(found, f"Person {found}")
        return Dialog(Chat(found, user=user), deque(), started=True, blocked=bot.crowd.blocks(found))
    if found is None or found not in bot.dialogs:
        raise bad_request("chat not found")
    if moved := bot.dialogs[found].moved_to:
        raise ApiError(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to=moved)
    return bot.dialogs[found]


def _nobody_fetches(bot: Bot) -> ActionError:
    return ActionError(
        f"{len(bot.queue)} updates wait for bot {bot.config.name} and nobody fetches them: "
        "start the bot, or call deleteWebhook with drop_pending_updates",
        status=503,
    )


def _bot_user(config: BotConfig) -> User:
    title = config.title or config.name.replace("_", " ").replace("-", " ").title()
    username = config.username or f"{config.name.replace('-', '_')}_bot"
    return User(config.id, title, username=username, is_bot=True)
