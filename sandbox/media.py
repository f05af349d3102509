"""What a message with a file says of it.

Source: https://core.telegram.org/bots/api#message
"""

from sandbox.errors import bad_request
from sandbox.files import StoredFile, picture_size
from sandbox.formatting import bot_text
from sandbox.model import Json
from sandbox.params import Params

MAX_CAPTION = 1024
KINDS = ("document", "photo", "video", "animation", "audio", "voice", "video_note", "sticker")
UNCAPTIONED = frozenset({"video_note", "sticker"})
_TIMED = frozenset({"video", "animation", "audio", "voice", "video_note"})
_SIZED = frozenset({"video", "animation"})


def shown_file(file: StoredFile, params: Params) -> Json:
    """Return the fields of a message that shows a file; `params` may tell duration and size."""
    shown = _object(file, params)
    content: Json = {file.kind: [shown] if file.kind == "photo" else shown}
    if file.kind == "animation":  # for bots that do not know animations
        wanted = ("file_id", "file_unique_id", "file_name", "mime_type", "file_size")
        content["document"] = {name: shown[name] for name in wanted}
    return content


def caption_of(params: Params) -> Json:
    """Return the fields of a caption.

    Raises:
        ApiError: it is too long or wrongly marked up.
    """
    if not params.text("caption").strip():
        return {}
    text = bot_text(params.text("caption"), params.text("parse_mode"), params.array("caption_entities"))
    if len(text.text) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    entities = [entity.to_api() for entity in text.entities]
    return {"caption": text.text, **({"caption_entities": entities} if entities else {})}


def names(file: StoredFile) -> Json:
    """Return the two ids of a file."""
    return {"file_id": file.id, "file_unique_id": file.unique_id}


def _object(file: StoredFile, params: Params) -> Json:
    result: Json = {**names(file), "file_size": len(file.data)}
    if file.kind == "photo":
        width, height = picture_size(file.data)
        return {**result, "width": width, "height": height}
    if file.kind in _TIMED:
        result["duration"] = params.integer("duration")
    if file.kind in _SIZED:
        result |= {"width": params.integer("width", 320), "height": params.integer("height", 320)}
    if file.kind == "video_note":
        return {**result, "length": params.integer("length", 240)}
    if file.kind == "sticker":
        return {**result, "width": 512, "height": 512, "type": "regular", "is_animated": False, "is_video": False}
    result["mime_type"] = file.mime
    return result if file.kind == "voice" else {**result, "file_name": file.name}
