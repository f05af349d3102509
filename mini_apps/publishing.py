"""What an app may say and do to clients on any node, from any process."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mini_apps import notices
from mini_apps.bound import BoundApp
from mini_apps.channels import Channel, options_of
from mini_apps.grants import revoke, revoke_all
from mini_apps.notices import Notice, Way
from shared import history, presence
from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave, Message, Signal, pack
from shared.close_codes import CloseCode, check_code
from shared.codec import decode_json, encode_json
from shared.messages import check_app_message, check_channel

if TYPE_CHECKING:
    from mini_apps.client import Client
    from mini_apps.models import User

__all__ = ["Publishing", "Send"]

POLICIES = ("must", "latest", "drop")
LONGEST_KEY = 256


@dataclass(frozen=True, slots=True)
class Send:
    """How a message is delivered.

    A client is behind while more than 64 KiB, or half of `ws.send-buffer-bytes` where that is less, wait on the node
    for it to read.

    Attributes:
        policy: what becomes of it where a client is behind. `must`: it waits, and a client for which more than
            `ws.send-buffer-bytes` wait is closed with 4002. `latest`: it waits apart, until a newer one with the same
            key takes its place. `drop`: that client does not get it.
        key: with `latest`, what it is the newest of; by default the message's `type`.
        exclude: the client that does not get it, such as the one whose message caused it.
        id: of this publish, where the channel keeps history: repeated under the same id within 5 minutes, after
            `BrokerUnavailable` say, the message is not appended again.
    """

    exclude: "Client | None" = None
    id: str = ""
    policy: Literal["must", "latest", "drop"] = "must"
    key: str = ""

    def __post_init__(self) -> None:
        """Refuse what no node could carry out."""
        if self.policy not in POLICIES:
            raise ValueError(f"Send(policy={self.policy!r}): one of {', '.join(POLICIES)}")
        if self.key and self.policy != "latest":
            raise ValueError(f'Send(key={self.key!r}) goes with policy="latest" only')
        if len(self.key) > LONGEST_KEY:
            raise ValueError(f"Send(key=…) has {len(self.key)} characters; at most {LONGEST_KEY}")


class Publishing(BoundApp):
    """The members of an app that publish; each returns once Redis has it.

    Attributes:
        channels: name or pattern (`game:*`) to `Channel`: what the app's channels can do.
    """

    channels: ClassVar[Mapping[str, Channel]] = {}

    async def broadcast(self, /, *, options_: Send | None = None, **message: Any) -> None:
        """Send a message to every client of the app, on all nodes.

        Args:
            options_: how it is delivered.
            **message: `type` and whatever the app's page expects with it.

        Raises:
            ValueError: `type` is missing or reserved, or a reserved field is used.
            TypeError: a value has no JSON form.
            BrokerUnavailable: Redis did not confirm it.
        """
        payload, bus, keys = pack(_message(message, options_)), self.mesh.bus, self.keys
        if bus.parts == 1:
            await bus.publish(keys.everyone(), payload)
        else:
            await asyncio.gather(*(bus.publish(keys.everyone(part), payload) for part in range(bus.parts)))

    async def send_to_user(self, telegram_id: int, /, *, options_: Send | None = None, **message: Any) -> None:
        """Send a message to every client of one user, on all nodes; nothing happens where there is none.

        Args:
            telegram_id: the user.
            options_: how it is delivered.
            **message: `type` and whatever the app's page expects with it.

        Raises:
            ValueError: `type` is missing or reserved, or a reserved field is used.
            TypeError: a value has no JSON form.
            BrokerUnavailable: Redis did not confirm it.
        """
        await self._publish(self.keys.user(telegram_id), _message(message, options_))

    async def notify(self, telegram_id: int, text: str, /, *, options_: Notice | None = None, **message: Any) -> Way:
        """Reach a user: by a message to their clients if one confirms it within 5 s, else by a message of the bot.

        Clients that are there get `{"type": "notify", "text": text}` with the fields given here, and confirm it by
        themselves. The bot writes at most once, and not to somebody who blocked it or never let it write.

        Args:
            telegram_id: the user.
            text: of the bot's message, 1 to 4096 characters, in the app's `parse-mode`.
            options_: how.
            **message: fields for the page, `type` and `text` included.

        Returns:
            `Way.SOCKET`, `Way.BOT` or `Way.UNREACHABLE`, which are the texts `socket`, `bot` and `unreachable`.

        Raises:
            ValueError: the text is empty or too long, or a reserved type or field is used.
            TypeError: a value has no JSON form.
            BrokerUnavailable: Redis did not confirm it.
            aiogram.exceptions.TelegramAPIError: Telegram refused the bot's message for another reason.
        """
        return await notices.notify(self, telegram_id, text, message, options_ or Notice())  # type: ignore[arg-type]  # an App is made of this

    async def publish(self, channel: str, /, *, options_: Send | None = None, **message: Any) -> int | None:
        """Send a message to everybody in a channel, on all nodes.

        Args:
            channel: its name; clients see it as the message's `channel`.
            options_: how it is delivered.
            **message: `type` and whatever the app's page expects with it.

        Returns:
            The message's offset, or None where the channel keeps no history.

        Raises:
            ValueError: the name cannot be a channel's, `type` is missing or reserved, or a reserved field is used.
            TypeError: a value has no JSON form.
            BrokerUnavailable: Redis did not confirm it.
        """
        name = check_channel(channel)
        frame, kept = _message(message, options_, {"channel": name}), options_of(name, self.channels)
        if not kept.history:
            await self._publish(self.keys.channel(name), frame)
            return None
        return await history.publish(
            self.mesh.bus,
            self.keys,
            name,
            frame,
            size=kept.history,
            ttl=kept.ttl,
            id_=options_.id if options_ is not None else "",
        )

    async def history(self, channel: str, /, since: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Return kept messages of a channel, oldest first, each with its `channel` and `offset`.

        Args:
            channel: its name.
            since: the offset after which to begin; 0 begins with the oldest kept.
            limit: the most messages to return.

        Raises:
            ValueError: the name cannot be a channel's.
            BrokerUnavailable: Redis did not answer.
        """
        entries = await history.kept(self.mesh.bus, self.keys, check_channel(channel), since, limit)
        return [{**decode_json(entry.body), "offset": entry.offset} for entry in entries]

    async def presence(self, channel: str, /) -> list[dict[str, Any]]:
        """Return the users in a channel, each once, as `User.to_json` gives them; in no order.

        Args:
            channel: its name.

        Raises:
            ValueError: the name cannot be a channel's, or the channel has no `presence`.
            BrokerUnavailable: Redis did not answer.
        """
        self._check_presence(channel)
        return [decode_json(user) for user in await presence.present(self.mesh.bus, self.keys, channel)]

    async def presence_count(self, channel: str, /) -> int:
        """Return how many users are in a channel, each counted once; costs the same for two as for thousands.

        Args:
            channel: its name.

        Raises:
            ValueError: the name cannot be a channel's, or the channel has no `presence`.
            BrokerUnavailable: Redis did not answer.
        """
        self._check_presence(channel)
        return await presence.count(self.mesh.bus, self.keys, channel)

    def _check_presence(self, channel: str) -> None:
        if not options_of(check_channel(channel), self.channels).presence:
            raise ValueError(f"who is in {channel!r} is not kept: declare it in `channels` with Channel(presence=True)")

    async def signal(self, name: str, /, **data: Any) -> None:
        """Have `on_signal(name, data)` run once on every WebSocket node: for what each node keeps or sends by itself.

        Args:
            name: what is to be done; `resync` is also what nodes that missed signals are told.
            **data: has a JSON form.

        Raises:
            ValueError: the name is empty.
            TypeError: a value has no JSON form.
            BrokerUnavailable: Redis did not confirm it.
        """
        if not name:
            raise ValueError("a signal needs a name")
        await self._publish(self.keys.signals, Signal(name, encode_json(data)))

    async def subscribe(self, user: "User | int", channel: str, /) -> None:
        """Let every client a user has now into a channel, on all nodes.

        Args:
            user: the user, or the Telegram id.
            channel: its name.

        Raises:
            ValueError: the name cannot be a channel's.
            BrokerUnavailable: Redis did not confirm it.
        """
        await self._publish(self.keys.user(_id(user)), Join(check_channel(channel)))

    async def unsubscribe(self, user: "User | int", channel: str, /) -> None:
        """Take every client of a user out of a channel, on all nodes.

        Args:
            user: the user, or the Telegram id.
            channel: its name.

        Raises:
            ValueError: the name cannot be a channel's.
            BrokerUnavailable: Redis did not confirm it.
        """
        name = check_channel(channel)
        await revoke(self, _id(user), name)
        await self._publish(self.keys.user(_id(user)), Leave(name, "unsubscribed"))

    async def disconnect_user(self, user: "User | int", /, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close every client of a user, on all nodes.

        Args:
            user: the user, or the Telegram id.
            code: from 4500 on the clients stay away, otherwise they come back by themselves.
            reason: short, for the client.

        Raises:
            ValueError: the code cannot be sent.
            BrokerUnavailable: Redis did not confirm it.
        """
        await self._publish(self.keys.user(_id(user)), Disconnect(check_code(code), reason))

    async def ban(self, user: "User | int", /) -> None:
        """Keep a user out from now on: clients are closed, logins refused, updates of the bot dropped.

        Args:
            user: the user, or the Telegram id; admins too.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        telegram_id = _id(user)
        await self.mesh.bus.call("SADD", self.keys.banned, str(telegram_id))
        await revoke_all(self, telegram_id)
        await self.disconnect_user(telegram_id, CloseCode.BANNED, CloseCode.BANNED.reason)

    async def unban(self, user: "User | int", /) -> None:
        """Take a ban back; one that stands in the settings stays.

        Args:
            user: the user, or the Telegram id.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        telegram_id = _id(user)
        await self.mesh.bus.call("SREM", self.keys.banned, str(telegram_id))
        if telegram_id in self.settings.banned:
            self.log.warning("still banned by the settings: take it out of `banned` there", telegram_id=telegram_id)

    async def revoke(self, user: "User | int", /) -> None:
        """End all sessions of a user: clients are closed, and only fresh init data lets them in again.

        For a lost phone or a leaked token. No ban: their pages log in again by themselves where they have the init
        data, and each channel judges them anew.

        Args:
            user: the user, or the Telegram id.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        await revoke_all(self, _id(user))
        await self.disconnect_user(user, CloseCode.RESYNC, "session ended")

    async def set_admin(self, user: "User | int", /, is_admin: bool = True) -> None:  # noqa: FBT001, FBT002 - reads well without its name
        """Make a user an admin of this app, or take that back; clients that are connected learn it at once.

        Taking it back also clears the mark in the user's row, which all apps of the deployment share. Who is an admin
        by the settings stays one.

        Args:
            user: the user, or the Telegram id.
            is_admin: whether the user is an admin from now on.

        Raises:
            BrokerUnavailable: Redis did not confirm it.
        """
        telegram_id, listed = _id(user), _id(user) in self.settings.admins
        if not is_admin:  # first, so that a database that fails leaves nothing half done
            await self.mesh.users.clear_admin(telegram_id)
        await self.mesh.bus.call("SADD" if is_admin else "SREM", self.keys.admins, str(telegram_id))
        if not is_admin and listed:
            self.log.warning("still an admin by the settings: take it out of `admins` there", telegram_id=telegram_id)
        await self._publish(self.keys.user(telegram_id), AdminChanged(is_admin or listed))

    async def _publish(self, channel: str, frame: Frame) -> None:
        await self.mesh.bus.publish(channel, pack(frame))


def _message(message: Mapping[str, Any], options: Send | None, more: Mapping[str, Any] | None = None) -> Message:
    """Encode a message, once for all who get it."""
    check_app_message(message)
    body = encode_json({**message, **more} if more else message)
    if options is None:
        return Message(body)
    exclude = options.exclude.id if options.exclude is not None else None
    if options.policy == "must":
        return Message(body, exclude)
    key = (options.key or message["type"])[:LONGEST_KEY] if options.policy == "latest" else None
    return Message(body, exclude, policy=options.policy, key=key)


def _id(user: "User | int") -> int:
    return user if isinstance(user, int) else user.telegram_id
