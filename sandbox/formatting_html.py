"""HTML as the Bot API understands it.

Source: https://core.telegram.org/bots/api#html-style
"""

import re
from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, bad_request
from sandbox.model import Entity
from sandbox.utf16 import byte_index, utf16_length

_TYPES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "a": "text_link",
    "span": "spoiler",
    "tg-emoji": "custom_emoji",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_TOKEN = re.compile(r"<(?P<close>/?)(?P<inner>[^>]*)>|&(?P<ref>#[xX][0-9a-fA-F]+|#[0-9]+|[a-z]+);?")
_TAG = re.compile(r"\s*(?P<name>[A-Za-z][A-Za-z0-9-]*)(?P<attributes>.*)", re.DOTALL)
_ATTRIBUTE = re.compile(
    r"""(?P<name>[A-Za-z-]+)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'>]+)))?"""
)


@dataclass(slots=True)
class _Open:
    tag: str
    kind: str
    offset: int  # UTF-16 units of the output so far
    extra: dict[str, Any]
    at: int  # code point index of the tag, for errors


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Return the text without tags, and its entities.

    Raises:
        ApiError: an unknown, unclosed or wrongly nested tag, with its byte offset as Telegram says it.
    """
    parser = _Parser(source)
    parser.run()
    return "".join(parser.out), parser.entities


def _cannot_parse(text: str) -> ApiError:
    return bad_request(f"can't parse entities: {text}")


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.out: list[str] = []
        self.entities: list[Entity] = []
        self._length = 0
        self._stack: list[_Open] = []

    def run(self) -> None:
        position = 0
        for token in _TOKEN.finditer(self.source):
            self._text(self.source[position : token.start()], position)
            position = token.end()
            if token["ref"] is not None:
                self._emit(_dereference(token))
            elif token["close"]:
                self._close(token["inner"].strip().lower(), token.start())
            else:
                self._open(token["inner"], token.start())
        self._text(self.source[position:], position)
        if self._stack:
            tag = self._stack[-1].tag
            raise _cannot_parse(f'Can\'t find end tag corresponding to start tag "{tag}"')

    def _text(self, text: str, at: int) -> None:
        if "<" in text:
            offset = byte_index(self.source, at + text.index("<"))
            raise _cannot_parse(f"Unclosed start tag at byte offset {offset}")
        self._emit(text)

    def _emit(self, text: str) -> None:
        self.out.append(text)
        self._length += utf16_length(text)

    def _open(self, inner: str, at: int) -> None:
        match = _TAG.fullmatch(inner.rstrip("/"))
        name = match["name"].lower() if match else inner.strip()
        offset = byte_index(self.source, at)
        if match is None or name not in _TYPES:
            raise _cannot_parse(f'Unsupported start tag "{name}" at byte offset {offset}')
        attributes = _attributes(match["attributes"])
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise _cannot_parse(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
        self._stack.append(_Open(name, _TYPES[name], self._length, _extra(name, attributes), at))

    def _close(self, name: str, at: int) -> None:
        offset = byte_index(self.source, at)
        if not self._stack:
            raise _cannot_parse(f"Unexpected end tag at byte offset {offset}")
        opened = self._stack.pop()
        if name and name != opened.tag:
            raise _cannot_parse(
                f'Unmatched end tag at byte offset {offset}, expected "</{opened.tag}>", found "</{name}>"'
            )
        length = self._length - opened.offset
        if length and not (opened.kind == "text_link" and "url" not in opened.extra):
            self._add(opened, length)

    def _add(self, opened: _Open, length: int) -> None:
        kind = opened.kind
        if kind == "blockquote" and opened.extra.pop("expandable", None):
            kind = "expandable_blockquote"
        last = self.entities[-1] if self.entities else None
        if kind == "pre" and last and last.type == "code" and (last.offset, last.length) == (opened.offset, length):
            # <pre><code class="language-x"> is one block with a language.
            self.entities.pop()
            self.entities.append(Entity("pre", opened.offset, length, last.extra))
            return
        extra = {} if kind == "code" and not self._inside_pre() else opened.extra
        self.entities.append(Entity(kind, opened.offset, length, extra))

    def _inside_pre(self) -> bool:
        return bool(self._stack) and self._stack[-1].tag == "pre"


def _dereference(token: re.Match[str]) -> str:
    ref = token["ref"].lower()
    if not ref.startswith("#"):
        return _NAMED.get(ref, token.group())
    code = int(ref.removeprefix("#x"), 16) if ref[1] == "x" else int(ref[1:])
    valid = 0 < code < 0x110000 and not 0xD800 <= code < 0xE000
    return chr(code) if valid else token.group()


def _attributes(text: str) -> dict[str, str]:
    result = {}
    for match in _ATTRIBUTE.finditer(text):
        value = next((match[group] for group in ("double", "single", "bare") if match[group] is not None), "")
        result[match["name"].lower()] = re.sub(_TOKEN, _unescape, value)
    return result


def _unescape(token: re.Match[str]) -> str:
    return _dereference(token) if token["ref"] is not None else token.group()


def _extra(name: str, attributes: dict[str, str]) -> dict[str, Any]:
    match name:
        case "a" if attributes.get("href"):
            return {"url": attributes["href"]}
        case "tg-emoji":
            return {"custom_emoji_id": attributes.get("emoji-id", "")}
        case "code" if attributes.get("class", "").startswith("language-"):
            return {"language": attributes["class"].removeprefix("language-")}
        case "blockquote" if "expandable" in attributes:
            return {"expandable": True}
        case _:
            return {}
