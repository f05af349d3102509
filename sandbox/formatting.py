"""From what a bot sends to text with entities: the choice of parser, automatic entities, trimming.

Source: https://core.telegram.org/bots/api#formatting-options
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.errors import bad_request
from sandbox.formatting_html import parse_html
from sandbox.formatting_markdown import parse_markdown
from sandbox.model import Entity, RichText
from sandbox.utf16 import utf16_index, utf16_length

MAX_TEXT = 4096  # characters after the entities are parsed

_AUTOMATIC = re.compile(
    r"""(?P<url>https?://[^\s<>"]+[^\s<>".,;:!?)\]}'])
    | (?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    | (?<!\w)(?P<mention>@[A-Za-z]\w{2,31})
    | (?<![\w/])(?P<bot_command>/[A-Za-z0-9_]{1,32}(?:@[A-Za-z]\w{2,31})?)(?![\w/])
    | (?<!\w)(?P<hashtag>\#\w*[^\W\d]\w*)
    | (?<!\w)(?P<cashtag>\$[A-Z]{3,8})(?!\w)""",
    re.VERBOSE,
)
# Inside these a link or a command is just text.
_OPAQUE = frozenset({"code", "pre", "text_link", "text_mention"})


def user_text(text: str) -> RichText:
    """Return what a user typed, with the entities Telegram finds by itself.

    Raises:
        ApiError: nothing is left after trimming, or the text is too long.
    """
    return finish(text, ())


def bot_text(text: str, parse_mode: str, entities: Sequence[Any] | None) -> RichText:
    """Return the text of a call, by `entities` if given, else by `parse_mode`.

    Raises:
        ApiError: the markup is broken, the mode unknown, the text empty or too long.
    """
    if entities is not None:
        return finish(text, [_given_entity(item) for item in entities])
    match parse_mode.lower():
        case "":
            return finish(text, ())
        case "html":
            return finish(*parse_html(text))
        case "markdownv2" | "markdown":
            return finish(*parse_markdown(text, version=2 if parse_mode.lower() == "markdownv2" else 1))
        case _:
            raise bad_request("unsupported parse_mode")


def finish(text: str, entities: Iterable[Entity]) -> RichText:
    """Trim, check the length, add automatic entities, sort.

    Raises:
        ApiError: `message text is empty` or `message is too long`.
    """
    stripped = text.rstrip()
    left = len(stripped) - len(stripped.lstrip())
    stripped = stripped[left:]
    if not stripped:
        raise bad_request("message text is empty")
    if len(stripped) > MAX_TEXT:
        raise bad_request("message is too long")
    given = _shifted(entities, utf16_length(text[:left]), utf16_length(stripped))
    found = [item for item in automatic_entities(stripped) if not _inside_opaque(item, given)]
    ordered = sorted([*given, *found], key=lambda entity: (entity.offset, -entity.length))
    return RichText(stripped, tuple(ordered))


def automatic_entities(text: str) -> list[Entity]:
    """Find links, addresses, mentions, commands and tags in plain text."""
    return [
        Entity(str(match.lastgroup), utf16_index(text, match.start()), utf16_length(match.group()))
        for match in _AUTOMATIC.finditer(text)
    ]


def _given_entity(item: Any) -> Entity:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise bad_request("can't parse entities: entity must be an object with a type")
    offset, length = item.get("offset"), item.get("length")
    if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length < 0:
        raise bad_request("can't parse entities: Invalid entity offset or length specified")
    extra = {key: value for key, value in item.items() if key not in {"type", "offset", "length"} and value}
    return Entity(item["type"], offset, length, extra)


def _shifted(entities: Iterable[Entity], left: int, length: int) -> list[Entity]:
    """Move entities after trimming; those that end up empty are dropped."""
    result = []
    for entity in entities:
        start = max(0, entity.offset - left)
        end = min(length, entity.offset - left + entity.length)
        if end > start:
            result.append(Entity(entity.type, start, end - start, entity.extra))
    return result


def _inside_opaque(found: Entity, given: Sequence[Entity]) -> bool:
    return any(
        entity.type in _OPAQUE
        and entity.offset < found.offset + found.length
        and found.offset < entity.offset + entity.length
        for entity in given
    )
