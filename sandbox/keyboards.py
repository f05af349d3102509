"""Reply markups: what Telegram accepts in them.

Source: https://core.telegram.org/bots/api#inlinekeyboardmarkup
"""

from typing import Any
from urllib.parse import urlsplit

from sandbox.errors import bad_request
from sandbox.hosts import is_loopback
from sandbox.model import Json
from sandbox.state import Dialog

MAX_CALLBACK_BYTES = 64
MAX_BUTTONS = 100

_INLINE_ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)
_KEPT = (*_INLINE_ACTIONS, "text", "icon_custom_emoji_id", "style")


def inline_keyboard(markup: Json | None) -> Json | None:
    """Return a checked inline keyboard in the form a message carries; `None` when there is none or it is empty.

    Raises:
        ApiError: a button that Telegram would refuse.
    """
    if markup is None or "inline_keyboard" not in markup:
        return None
    rows = [[_inline_button(button) for button in row] for row in _rows(markup["inline_keyboard"])]
    rows = [row for row in rows if row]
    if sum(len(row) for row in rows) > MAX_BUTTONS:
        raise bad_request("reply markup is too long")
    return {"inline_keyboard": rows} if rows else None


def reply_keyboard(markup: Json | None) -> Json | None:
    """Return a checked reply keyboard, its removal or a forced reply; `None` when the markup says nothing of these.

    Raises:
        ApiError: a button that Telegram would refuse.
    """
    if markup is None:
        return None
    if "keyboard" in markup:
        rows = [[_reply_button(button) for button in row] for row in _rows(markup["keyboard"])]
        return {**markup, "keyboard": [row for row in rows if row]}
    return markup if markup.get("remove_keyboard") or markup.get("force_reply") else None


def check_place(markup: Json | None, dialog: Dialog) -> None:
    """Refuse buttons that open mini apps outside private chats, as Telegram does.

    Raises:
        ApiError: `BUTTON_TYPE_INVALID`.
    """
    rows = (markup or {}).get("inline_keyboard") or (markup or {}).get("keyboard") or ()
    if dialog.is_group and any("web_app" in button for row in rows for button in row):
        raise bad_request("BUTTON_TYPE_INVALID")


def check_web_app(web_app: Any, kind: str) -> str:
    """Return the address of a `WebAppInfo`; plain HTTP is accepted on this machine only.

    Raises:
        ApiError: the URL is not HTTPS and not loopback.
    """
    url = web_app.get("url") if isinstance(web_app, dict) else None
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return str(url)
    raise bad_request(f"{kind} Web App URL '{url}' is invalid: Only HTTPS links are allowed")


def _rows(value: Any) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise bad_request("can't parse keyboard: expected an Array of Array of buttons")
    return value


def _inline_button(button: Any) -> Json:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str) or not button["text"]:
        raise bad_request('can\'t parse inline keyboard button: field "text" must be a non-empty String')
    if not any(name in button for name in _INLINE_ACTIONS):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not (isinstance(data, str) and 0 < len(data.encode()) <= MAX_CALLBACK_BYTES):
        raise bad_request("BUTTON_DATA_INVALID")
    if "url" in button and urlsplit(str(button["url"])).scheme not in {"http", "https", "tg", "mailto", "tel", "ton"}:
        raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Unsupported URL protocol")
    if "web_app" in button:
        check_web_app(button["web_app"], "inline keyboard button")
    return {name: button[name] for name in _KEPT if button.get(name) is not None}


def _reply_button(button: Any) -> Json:
    if isinstance(button, str):
        return {"text": button}
    if not isinstance(button, dict) or not isinstance(button.get("text"), str) or not button["text"]:
        raise bad_request('can\'t parse keyboard button: field "text" must be a non-empty String')
    if "web_app" in button:
        check_web_app(button["web_app"], "keyboard button")
    return button
