r"""MarkdownV2, and the legacy Markdown that old bots still send.

Source: https://core.telegram.org/bots/api#markdownv2-style
"""

import re
from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, bad_request
from sandbox.model import Entity
from sandbox.utf16 import byte_index, utf16_length

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_MARKS_V2 = {
    "||": "spoiler",
    "__": "underline",
    "*": "bold",
    "_": "italic",
    "~": "strikethrough",
}
_MARKS_V1 = {"*": "bold", "_": "italic"}
_NAMES = {"text_link": "TextUrl", "custom_emoji": "CustomEmoji"}


@dataclass(slots=True)
class _Open:
    mark: str
    kind: str
    offset: int
    at: int


def parse_markdown(source: str, *, version: int) -> tuple[str, list[Entity]]:
    r"""Return the text without marks, and its entities.

    Args:
        source: what the bot sent.
        version: 2 for MarkdownV2, 1 for the legacy mode, where marks do not nest and nothing else is reserved.

    Raises:
        ApiError: a mark is never closed, or a reserved character is not escaped with `\`.
    """
    parser = _Parser(source, version)
    parser.run()
    return "".join(parser.out), parser.entities


def _cannot_parse(text: str) -> ApiError:
    return bad_request(f"can't parse entities: {text}")


class _Parser:
    def __init__(self, source: str, version: int) -> None:
        self.source = source
        self.out: list[str] = []
        self.entities: list[Entity] = []
        self._version = version
        self._marks = _MARKS_V2 if version == 2 else _MARKS_V1
        self._at = 0
        self._length = 0
        self._stack: list[_Open] = []
        self._quote: int | None = None

    def run(self) -> None:
        while self._at < len(self.source):
            self._step(self.source[self._at])
        self._end_quote()
        if self._stack:
            raise self._unclosed(self._stack[-1].kind, self._stack[-1].at)

    def _step(self, char: str) -> None:
        following = self.source[self._at + 1 : self._at + 2]
        if char == "\\" and following and (self._version == 1 or ord(following) < 127):
            self._emit(following, 2)
        elif char == "\n":
            self._newline()
        elif self._version == 2 and char == ">" and self._line_start():
            self._begin_quote()
        elif char == "`":
            self._code()
        elif char == "[":
            self._begin("[", "text_link")
        elif char == "!" and following == "[" and self._version == 2:
            self._begin("![", "custom_emoji")
        elif char == "]" and self._stack and self._stack[-1].mark in {"[", "!["}:
            self._end_link(self._stack.pop())
        elif mark := self._mark():
            self._toggle(mark)
        else:
            self._plain(char)

    def _plain(self, char: str) -> None:
        if self._version == 2 and char in _RESERVED:
            raise _cannot_parse(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
        self._emit(char, 1)

    def _emit(self, text: str, consumed: int) -> None:
        self.out.append(text)
        self._length += utf16_length(text)
        self._at += consumed

    def _mark(self) -> str | None:
        return next((mark for mark in self._marks if self.source.startswith(mark, self._at)), None)

    def _begin(self, mark: str, kind: str) -> None:
        self._stack.append(_Open(mark, kind, self._length, self._at))
        self._at += len(mark)

    def _toggle(self, mark: str) -> None:
        if self._stack and self._stack[-1].mark == mark:
            opened = self._stack.pop()
            self._add(opened.kind, opened.offset)
            self._at += len(mark)
        elif self._version == 1 and self._stack:
            self._emit(mark, len(mark))
        else:
            self._begin(mark, self._marks[mark])

    def _add(self, kind: str, offset: int, extra: dict[str, Any] | None = None) -> None:
        if self._length > offset:
            self.entities.append(Entity(kind, offset, self._length - offset, extra or {}))

    def _code(self) -> None:
        fence = "```" if self.source.startswith("```", self._at) else "`"
        kind = "pre" if fence == "```" else "code"
        start = self._at + len(fence)
        match = re.compile(r"(?:\\.|[^\\])*?" + re.escape(fence), re.DOTALL).match(self.source, start)
        if match is None:
            raise self._unclosed(kind, self._at)
        body, extra = match.group().removesuffix(fence), {}
        if kind == "pre" and (language := re.match(r"([A-Za-z0-9_+-]*)\n", body)):
            body = body[language.end() :]
            extra = {"language": language[1]} if language[1] else {}
        offset = self._length
        self._emit(re.sub(r"\\(.)", r"\1", body, flags=re.DOTALL), 0)
        self._add(kind, offset, extra)
        self._at = match.end()

    def _end_link(self, opened: _Open) -> None:
        target = re.compile(r"\]\(((?:\\.|[^\\)])*)\)").match(self.source, self._at)
        if target is None:
            if opened.kind == "custom_emoji":
                raise _cannot_parse("Custom emoji entity must contain a tg://emoji URL")
            self._at += 1  # without a target it is text, as Telegram treats it
            return
        url = re.sub(r"\\(.)", r"\1", target[1])
        if opened.kind == "custom_emoji":
            self._add("custom_emoji", opened.offset, {"custom_emoji_id": url.partition("id=")[2]})
        else:
            self._add("text_link", opened.offset, {"url": url})
        self._at = target.end()

    def _line_start(self) -> bool:
        return self._at == 0 or self.source[self._at - 1] == "\n"

    def _begin_quote(self) -> None:
        if self._quote is None:
            self._quote = self._length
        self._at += 1

    def _newline(self) -> None:
        if self._quote is not None and not self.source.startswith(">", self._at + 1):
            self._end_quote()
        self._emit("\n", 1)

    def _end_quote(self) -> None:
        if self._quote is not None:
            self._add("blockquote", self._quote)
            self._quote = None

    def _unclosed(self, kind: str, at: int) -> ApiError:
        name = _NAMES.get(kind, kind.capitalize())
        return _cannot_parse(f"Can't find end of {name} entity at byte offset {byte_index(self.source, at)}")
