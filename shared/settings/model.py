"""The sections of the settings: one class a section, one line a setting.

A setting's key is its field's name with `-` or `_`; its documentation is the text beside its default.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.fields import FieldInfo

from shared.redis_url import REDIS_EXAMPLE
from shared.settings.types import (
    AnyCase,
    DatabaseUrl,
    EmptyIsUnset,
    Host,
    HttpUrl,
    Lanes,
    Lifetime,
    Limit,
    Network,
    NodeId,
    NonEmptySecret,
    Port,
    Prefix,
    ProxyUrl,
    RedisUrl,
    Seconds,
    Sender,
    WsUrl,
    setting,
)

SQLITE = "sqlite+aiosqlite:///db/mini-apps.sqlite"


class Section(BaseModel):
    """A section of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


class LogSettings(Section):
    """What the processes write to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], AnyCase] = setting(
        "info", "The least severe level that is written."
    )
    format: Annotated[Literal["auto", "console", "json"], AnyCase] = setting(
        "auto", "`auto`: console on a terminal, else a line of JSON for each event."
    )


class RedisSettings(Section):
    """The broker all processes talk over."""

    url: RedisUrl = setting(
        SecretStr(REDIS_EXAMPLE), "Redis 7.0 or Valkey 7.2, alone, behind sentinels or a cluster; see docs/deploy.md."
    )
    tls_ca: str = setting("", "File with the authorities that sign Redis's certificate; empty: those of the system.")
    tls_cert: str = setting("", "File with our own certificate, where Redis asks for one.")
    tls_key: str = setting("", "File with its private key.")
    sentinel_username: str = setting("", "User of the sentinels, where they have users.")
    sentinel_password: Annotated[SecretStr | None, EmptyIsUnset] = setting(
        None, "Password of the sentinels; that of Redis itself is in `url`."
    )
    prefix: Prefix = setting("ma", "First part of every key.")
    wait_replicas: Limit = setting(
        0,
        "Replicas that must confirm an update, a Bot API call or a publish with history within a second, or it fails.",
    )
    lease_seconds: Lifetime = setting(6, "How long a node, lane or poller lease lives without renewal.")


class DatabaseSettings(Section):
    """The database of users and of the apps' own models."""

    url: DatabaseUrl = setting(SecretStr(SQLITE), "SQLAlchemy address with an asyncio driver.")


class GatewaySettings(Section):
    """The HTTP edge."""

    host: Host = setting("127.0.0.1", "Address to listen on.")
    port: Port = setting(8080, "Port to listen on; 0 takes any free one.")
    public_url: HttpUrl = setting("", "What the world calls this gateway; needed for webhooks.")
    api_keys: list[NonEmptySecret] = setting([], "Keys of the server API and the admin pages, which do not exist yet.")
    media: str = setting("media", "Folder (a shared volume) behind an app's media-url; uploads go there.")
    media_max_bytes: Limit = setting(1_073_741_824, "What the media folder may hold; beyond, uploads are refused.")
    upload_max_bytes: Limit = setting(5_242_880, "Largest picture that is taken.")
    uploads_per_minute: Limit = setting(20, "Uploads of one user in a minute.")
    trusted_proxies: list[Network] = setting(
        [], "Networks whose forwarding headers are believed: the right-most untrusted hop is the peer."
    )
    negotiate_per_minute: Limit = setting(60, "`negotiate` requests of one address in a minute.")
    webhook_from: list[Sender] = setting(
        [], "Networks whose webhook updates are taken; `telegram` stands for Telegram's own; none: from anywhere."
    )
    max_update_bytes: Limit = setting(1_048_576, "Largest webhook update that is taken.")
    sandbox_url: HttpUrl = setting("", "Development: where `/` and `/sandbox/` redirect; it is told of all traffic.")


class WsAppSettings(Section):
    """Those settings of the WebSocket nodes that an app may set for itself."""

    max_message_bytes: Limit = setting(65_536, "Largest message a client may send.")
    messages_per_second: Limit = setting(50, "Messages of one client, with a burst of twice that.")
    channels_per_client: Limit = setting(128, "Channels one client may be in.")
    recovery_max_bytes: Limit = setting(4_194_304, "Most history that is replayed to one client that comes back.")
    handler_timeout: Seconds = setting(30, "How long a message handler may run.")
    presence_grace: Seconds = setting(15, "How long a user who went away still counts as present.")
    init_data_max_age: Limit = setting(86_400, "Oldest init data that may log in, in seconds.")
    session_keys: list[NonEmptySecret] = setting(
        [], "The first signs session tokens, all verify; none: derived from the webapp key."
    )
    session_ttl: Limit = setting(3_600, "Life of a session token, in seconds.")
    session_max_age: Limit = setting(86_400, "Life of a session from its first login, in seconds.")


class WsSettings(WsAppSettings):
    """The WebSocket nodes."""

    host: Host = setting("127.0.0.1", "Address to listen on.")
    port: Port = setting(8081, "Port to listen on; 0 takes any free one.")
    public_url: WsUrl = setting("", "What clients are told; unset: the node's own address.")
    node_id: NodeId = setting("", "Name of this node; unset: host name and a random suffix.")
    allowed_origins: list[str] = setting([], "Origins whose pages may connect; none: all may.")
    max_connections: Limit = setting(50_000, "Connections of one node.")
    max_connections_per_user: Limit = setting(
        20, "The newest wins: the user's oldest connection on the node is closed with 4502."
    )
    max_connections_per_address: Limit = setting(0, "Connections of one network address.")
    accepts_per_second: Limit = setting(0, "New connections of one node in a second, with a burst of twice that.")
    connects_per_minute: Limit = setting(0, "New connections of one network address in a minute.")
    send_buffer_bytes: Limit = setting(1_048_576, "Bytes that may wait for one slow client before it is cut off.")
    compression: bool = setting(
        default=False,
        meaning="Whether permessage-deflate is agreed to: for what clients send and long messages to one.",
    )
    client_queue: Limit = setting(64, "Messages waiting for one client's handler; then its socket is not read.")
    login_timeout: Seconds = setting(10, "How long a connection may live without a login.")
    idle_timeout: Seconds = setting(0, "How long a client may send nothing but signs of life.")
    ping_interval: Seconds = setting(25, "Silence after which a connection is pinged.")
    ping_timeout: Seconds = setting(10, "How long the answer to a ping may take.")
    drain_seconds: Seconds = setting(25, "How long a stopping node may take to send its clients away.")


class TelegramSettings(Section):
    """How Telegram is reached; an app may set each of these for itself."""

    api_server: HttpUrl = setting("https://api.telegram.org", "Any Bot API server.")
    test_environment: bool = setting(default=False, meaning="Use Telegram's test environment.")
    ingest: Annotated[Literal["polling", "webhook"], AnyCase] = setting("polling", "How updates come in.")
    send_per_second: Limit = setting(30, "Messages the bot may send in a second, over all workers.")
    send_per_second_paid: Limit = setting(1_000, "The same for messages with allow_paid_broadcast.")
    send_per_chat: Limit = setting(1, "Messages the bot may send to one chat in a second.")
    send_chat_burst: Limit = setting(2, "Messages a chat may get at once after a silence.")
    send_per_group: Limit = setting(20, "Messages the bot may send to one group or channel in a minute.")
    proxy: ProxyUrl = setting("", "Proxy for calls to the Bot API; socks needs the package aiohttp-socks.")


class BotSettings(Section):
    """The bot workers."""

    host: Host = setting("127.0.0.1", "Address for health and metrics.")
    port: Port = setting(8090, "Port for health and metrics; 0 takes any free one.")
    lanes: Lanes = setting(16, "Lanes that updates are spread over by chat; the same in every process.")
    hook_timeout: Seconds = setting(20, "How long a hook may run.")
    retry_delays: list[Seconds] = setting(
        [1, 5, 15, 60], "Seconds before each further try of a failed update; then it is a dead letter."
    )
    calls_waiting: Limit = setting(10_000, "Bot API calls of one app that may wait; then `Overloaded` is raised.")
    calls_in_flight: Limit = setting(100, "Bot API calls of one app that a worker makes at a time.")
    call_file_bytes: Limit = setting(268_435_456, "Bytes of one app's files that may be on their way over Redis.")
    fsm_ttl: Limit = setting(604_800, "How long an untouched conversation state is kept, in seconds.")


SECTIONS: dict[str, type[Section]] = {
    "log": LogSettings,
    "redis": RedisSettings,
    "database": DatabaseSettings,
    "gateway": GatewaySettings,
    "ws": WsSettings,
    "telegram": TelegramSettings,
    "bot": BotSettings,
}


def file_key(name: str, field: FieldInfo) -> str:
    """Give the key of a field as it stands in a file, but with `_`: its name, or its alias (`class`)."""
    return field.validation_alias if isinstance(field.validation_alias, str) else name


@functools.cache
def field_keys(section: type[BaseModel]) -> Mapping[str, str]:
    """Map each key of a section, as it stands in a file but with `_`, to its field's name."""
    return {file_key(name, field): name for name, field in section.model_fields.items()}


def canonical(key: str) -> str:
    """Bring a key to the one form used inside: `-` and `_` are the same."""
    return key.replace("-", "_")


def shown(key: str) -> str:
    """Bring a key to the form that documentation and messages use."""
    return key.replace("_", "-")
