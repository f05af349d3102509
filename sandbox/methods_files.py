"""Methods that send files and give them back.

Source: https://core.telegram.org/bots/api#sending-files
"""

from collections.abc import Callable

from sandbox.errors import bad_request
from sandbox.files import StoredFile
from sandbox.keyboards import inline_keyboard
from sandbox.media import KINDS, UNCAPTIONED, caption_of, names, shown_file
from sandbox.methods import Call, method
from sandbox.methods_messages import editable
from sandbox.model import NO_TEXT, Json
from sandbox.params import Params
from sandbox.sending import TAKES, Content, deliver, spend

ALBUM = range(2, 11)
_IN_ALBUMS = frozenset({"document", "photo", "video", "audio"})


def _sender(kind: str) -> Callable[[Call], Json]:
    def send(call: Call) -> Json:
        """Send one file, with a caption."""
        return deliver(call, Content(extra=content_of(call, call.params, kind, call.params.text(kind))))[0].to_api()

    return send


for _kind in KINDS:
    method("send" + _kind.title().replace("_", ""))(_sender(_kind))


@method("sendMediaGroup")
def send_media_group(call: Call) -> list[Json]:
    """Send two to ten files as one album."""
    items = call.params.array("media") or []
    if len(items) not in ALBUM:
        raise bad_request("group send failed: an album has 2 to 10 items")
    contents = []
    for item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in _IN_ALBUMS:
            raise bad_request("can't parse InputMedia: unexpected type")
        contents.append(content_of(call, Params(item), kind, str(item.get("media") or "")))
    album = {"media_group_id": call.world.new_id()}
    sent = deliver(call, *(Content(extra={**content, **album}) for content in contents), takes=TAKES - {"reply_markup"})
    return [message.to_api() for message in sent]


@method("editMessageCaption")
def edit_message_caption(call: Call) -> Json | bool:
    """Replace the caption and the inline keyboard of one of the bot's messages."""
    dialog, message = editable(call)
    if not any(kind in message.extra for kind in KINDS):
        raise bad_request("there is no caption in the message to edit")
    markup = inline_keyboard(call.params.obj("reply_markup"))
    rest = {name: value for name, value in message.extra.items() if not name.startswith("caption")}
    extra = {**rest, **caption_of(call.params)}
    if markup == message.markup and extra == message.extra:
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same"
        )
    spend(call, dialog)
    edited = call.world.replace(call.bot, dialog, message, markup=markup, edit_date=int(call.now), extra=extra)
    return True if call.params.text("inline_message_id") else edited.to_api()


@method("editMessageMedia")
def edit_message_media(call: Call) -> Json | bool:
    """Put another file, with its caption, in the place of what one of the bot's messages holds."""
    media = call.params.obj("media") or {}
    kind = str(media.get("type", ""))
    if kind not in _IN_ALBUMS | {"animation"}:
        raise bad_request("can't parse InputMedia: unexpected type")
    dialog, message = editable(call)
    markup = inline_keyboard(call.params.obj("reply_markup"))
    shown = content_of(call, Params(media), kind, str(media.get("media") or ""))
    kept = {
        name: value for name, value in message.extra.items() if name not in KINDS and not name.startswith("caption")
    }
    spend(call, dialog)
    changes: Json = {"content": NO_TEXT, "markup": markup, "edit_date": int(call.now), "extra": {**kept, **shown}}
    edited = call.world.replace(call.bot, dialog, message, **changes)
    return True if call.params.text("inline_message_id") else edited.to_api()


@method("getFile")
def get_file(call: Call) -> Json:
    """Tell where a file can be fetched."""
    file = call.world.files.get(call.params.text("file_id"))
    if file is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    return {**names(file), "file_size": len(file.data), "file_path": file.path}


def content_of(call: Call, params: Params, kind: str, given: str) -> Json:
    """Return the fields of a message with a file, which is kept from now on.

    Args:
        call: that may have brought the file.
        params: with caption, size and duration.
        kind: `photo`, `document`, …
        given: a file id, an address, `attach://` and a part's name, or nothing for the part named as the kind.

    Raises:
        ApiError: there is no such file, or it is of another kind.
    """
    shown = shown_file(_file(call, kind, given), params)
    return shown if kind in UNCAPTIONED else {**shown, **caption_of(params)}


def _file(call: Call, kind: str, given: str) -> StoredFile:
    """Find the file that a call names: one that came with it or was fetched for it, or one that was sent before."""
    sent = call.params.files.get(given.removeprefix("attach://") if given else kind)
    if sent is not None:
        return call.world.files.add(kind, sent)
    if not given:
        raise bad_request(f"there is no {kind.replace('_', ' ')} in the request")
    known = call.world.files.get(given)
    if known is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if known.kind != kind:
        raise bad_request(f"can't use file of type {known.kind.title()} as {kind.title()}")
    return known
