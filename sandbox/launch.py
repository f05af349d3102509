"""The address a mini app is opened with: signed init data, theme and platform in its fragment.

Source: https://core.telegram.org/bots/webapps#initializing-mini-apps
"""

import hashlib
import json
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mini_apps.testing import sign_init_data
from sandbox.actions import chat_instance, place
from sandbox.errors import ActionError
from sandbox.model import Json, User
from sandbox.state import Bot, Query, World
from sandbox.themes import THEMES

VERSION = "8.0"  # of the WebApp protocol: what the page's bridge answers
PLATFORM = "web"

Source = Literal["menu", "inline_button", "keyboard_button", "direct"]

# The same in every sandbox, so that launches stay valid across restarts. It protects nothing: it only lets services
# that check signatures instead of hashes be tried here, with PUBLIC_KEY in the place of Telegram's.
_PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"mini apps sandbox launch key").digest())
PUBLIC_KEY = _PRIVATE_KEY.public_key().public_bytes_raw()


def launch_url(
    world: World,
    bot: Bot,
    user: User,
    *,
    now: float,
    source: Source = "menu",
    start_param: str = "",
    url: str = "",
    theme: str = "light",
    chat_instance_: str = "",
    chat: int = 0,
) -> str:
    """Return the address that opens a bot's mini app as a user.

    Args:
        world: makes the `query_id`.
        bot: signs with its token.
        user: who opens it.
        now: `auth_date`, unix seconds.
        source: how it is opened. Menu and inline buttons give a `query_id`; direct links give `chat_type`,
            `chat_instance` and `start_param`; keyboard buttons give no init data at all.
        start_param: what follows `startapp=`.
        url: of the button; the bot's own when empty.
        theme: `light` or `dark`.
        chat_instance_: instead of that of the chat, as if the link was posted in another one.
        chat: the group in which a direct link was tapped; 0 for the private chat.

    Raises:
        ActionError: the bot has no mini app, or the address is on an origin the page does not frame.
    """
    target = url or bot.config.url
    if not target:
        raise ActionError(f"bot {bot.config.name} has no mini app: give it a url", status=404)
    if origin(target) not in frame_origins(world):
        raise ActionError(
            f"the page opens mini apps of {', '.join(sorted(frame_origins(world)))} only, not {origin(target)}"
        )
    fields: Json = {}
    if source in {"menu", "inline_button"}:
        fields["query_id"] = world.new_id()
        dialog = world.dialog(bot, user)
        bot.web_app_queries.add(fields["query_id"], Query(user, dialog), now)
    elif source == "direct":
        dialog = place(world, bot, user, chat)
        fields["chat_instance"] = chat_instance_ or chat_instance(bot, dialog.chat.id)
        fields["chat_type"] = dialog.chat.type
        fields["start_param"] = start_param or None
        if start_param:
            target = _with_query(target, tgWebAppStartParam=start_param)
    data = "" if source == "keyboard_button" else _init_data(world, bot, user, fields, now)
    return _with_fragment(target, data, theme)


def frame_origins(world: World) -> frozenset[str]:
    """Return the origins of all mini apps."""
    return frozenset(origin(bot.config.url) for bot in world.bots.values() if bot.config.url)


def origin(url: str) -> str:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _init_data(world: World, bot: Bot, user: User, fields: Json, now: float) -> str:
    # Opening a mini app makes the bot known to the user, but only a started chat may be written to.
    dialog = world.dialog(bot, user)
    person = user.to_init_data(allows_write=dialog.started and not dialog.blocked)
    return sign_init_data(bot.config.token, private_key=_PRIVATE_KEY, user=person, auth_date=int(now), **fields)


def _with_query(url: str, **added: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(added))))
    return urlunsplit(parts._replace(query=query))


def _with_fragment(url: str, data: str, theme: str) -> str:
    fields = {
        "tgWebAppData": data,
        "tgWebAppVersion": VERSION,
        "tgWebAppPlatform": PLATFORM,
        "tgWebAppBotInline": "1",  # or Telegram's script refuses switchInlineQuery
        "tgWebAppThemeParams": json.dumps(THEMES.get(theme, THEMES["light"]), separators=(",", ":")),
    }
    fragment = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    return f"{url}&{fragment}" if urlsplit(url).fragment else f"{url}#{fragment}"
