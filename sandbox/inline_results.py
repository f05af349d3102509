"""Inline query results: what Telegram accepts, and the message that a chosen one becomes.

Source: https://core.telegram.org/bots/api#inlinequeryresult
"""

from collections.abc import Mapping
from typing import Any

from sandbox.errors import bad_request
from sandbox.files import Files, Sent
from sandbox.formatting import bot_text
from sandbox.keyboards import inline_keyboard
from sandbox.media import caption_of, shown_file
from sandbox.model import Json
from sandbox.params import Params
from sandbox.places import contact_of, location_of, venue_of
from sandbox.sending import Content

MAX_RESULT_ID_BYTES = 64

# By type of result: the kind of message, and the name its address begins with.
_MEDIA = {
    "photo": ("photo", "photo"),
    "gif": ("animation", "gif"),
    "mpeg4_gif": ("animation", "mpeg4"),
    "video": ("video", "video"),
    "audio": ("audio", "audio"),
    "voice": ("voice", "voice"),
    "document": ("document", "document"),
    "sticker": ("sticker", "sticker"),
}
_PLACES = frozenset({"location", "venue", "contact"})


def check_result(result: Any) -> Json:
    """Return an inline query result that can be shown and sent.

    Raises:
        ApiError: no object, a bad id, or content Telegram refuses.
    """
    if not isinstance(result, dict) or not isinstance(result.get("type"), str):
        raise bad_request("can't parse inline query result: InlineQueryResult must be an Object")
    id_ = result.get("id")
    if not isinstance(id_, str) or not 0 < len(id_.encode()) <= MAX_RESULT_ID_BYTES:
        raise bad_request("RESULT_ID_INVALID")
    if result["type"] not in {"article", "game", *_MEDIA, *_PLACES}:
        raise bad_request("can't parse inline query result: unsupported inline query result type")
    if result["type"] == "article":
        if not result.get("title"):
            raise bad_request("can't parse inline query result: Can't find field \"title\"")
        _written(result.get("input_message_content"))
    elif result["type"] in _MEDIA and not (media_address(result) or _file_id(result)):
        raise bad_request(f"can't parse inline query result: there is no {result['type']} in it")
    inline_keyboard(result.get("reply_markup"))
    return result


def media_address(result: Json) -> str:
    """Return where the file of a result is to be fetched, or nothing where it has none or needs none."""
    name = _MEDIA.get(str(result.get("type")), ("", ""))[1]
    return "" if "input_message_content" in result or not name else str(result.get(f"{name}_url") or "")


def result_content(result: Json, files: Files, fetched: Mapping[str, Sent]) -> Content:
    """Return what a chosen result sends.

    Args:
        result: checked.
        files: that were sent before, by which it may name one.
        fetched: files by address.

    Raises:
        ApiError: it holds nothing that can be sent here.
    """
    if "input_message_content" in result:
        return _written(result["input_message_content"])
    if result["type"] in _PLACES:
        return _place(result)
    kind = _MEDIA.get(result["type"], ("", ""))[0]
    if not kind:
        raise bad_request("can't parse inline query result: Can't find field \"message_text\"")
    file = files.get(_file_id(result))
    if file is None:
        sent = fetched.get(media_address(result))
        if sent is None:
            raise bad_request("WEBPAGE_CURL_FAILED")
        file = files.add(kind, sent)
    params = Params(result)
    return Content(extra={**shown_file(file, params), **caption_of(params)})


def _file_id(result: Json) -> str:
    return str(result.get(f"{_MEDIA.get(result['type'], ('', ''))[1]}_file_id") or "")


def _written(content: Any) -> Content:
    if isinstance(content, dict):
        if "message_text" in content:
            text, mode = str(content["message_text"]), str(content.get("parse_mode") or "")
            return Content(bot_text(text, mode, content.get("entities")))
        if _PLACES & {"location" if "latitude" in content else "", "contact" if "phone_number" in content else ""}:
            return _place(content)
    raise bad_request("can't parse inline query result: Can't find field \"message_text\"")


def _place(fields: Json) -> Content:
    params = Params(fields)
    if "phone_number" in params:
        return Content(extra=contact_of(params))
    return Content(extra=venue_of(params) if "address" in params else location_of(params))
