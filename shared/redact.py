"""Taking secrets out of text that is about to be written: pure functions and the list of known secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

HIDDEN = "***"
SHORTEST = 4
"""A shorter secret is no secret, and hiding it would blank out half of every line."""
DEEPEST = 8

_EQUALS = r"(?:=|%(?:25)*3[Dd])"
_COLON = r"(?::|%(?:25)*3[Aa])"
_HIDDEN_KEYS = (
    "authorization|api_key|apikey|cookie|grant|hash|init_data|initdata|password|secret|session|signature"
    "|tgwebappdata|token|webapp_key"
)
_HIDDEN_KEY = re.compile(rf"(?:.*_)?(?:{_HIDDEN_KEYS})s?")
_WRITTEN_KEY = _HIDDEN_KEYS.replace("_", "[-_]?")

# Texts may hold what strangers sent, so no pattern may take quadratic time: each starts at a fixed word or at an edge.
_WORD = re.compile(r"[^\s\"'<>?#]+")
_INIT_DATA = re.compile(rf"auth_date{_EQUALS}")
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # /bot<token>/ in addresses of the Bot API, whatever the token's length
    (re.compile(rf"/bot\d+{_COLON}[^/\s\"'\\<>]+"), f"/bot{HIDDEN}"),
    (re.compile(rf"(?<!\d)\d{{5,}}{_COLON}[A-Za-z0-9_-]{{30,}}"), HIDDEN),
    # a login in an address: redis://user:password@host
    (re.compile(r"(?<=://)[^/\s\"'@:]{0,256}:[^\s\"'@]{0,512}@"), f"{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # parts of init data and other parameters, plain or percent-encoded
    (
        re.compile(
            rf"(tgWebAppData|init_?data|hash|signature|query_id|token|session|api_?key){_EQUALS}[^\s\"'&<>,;)\]}}]+",
            re.IGNORECASE,
        ),
        rf"\1={HIDDEN}",
    ),
    # a key and its value as Python or JSON writes them, also inside another text where quotes are escaped
    (
        re.compile(rf"((?:{_WRITTEN_KEY})s?\\*[\"']?\s*[:=]\s*b?\\*)([\"'])(?:(?!\2).)+?(\\*\2)", re.IGNORECASE),
        rf"\1\2{HIDDEN}\3",
    ),
    # webapp keys and init data hashes; session tokens and signatures
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{64}(?![0-9A-Za-z])"), HIDDEN),
    (re.compile(r"(?<![\w-])[A-Za-z0-9_-]{80,}={0,2}"), HIDDEN),
)


class _Protected:
    """The secrets of this process by value, whatever they look like."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, values: Sequence[str]) -> None:
        """Remember values and rebuild the pattern, longest first so that no tail of one survives."""
        self.values |= {value for value in values if len(value) >= SHORTEST}
        ordered = sorted(self.values, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None


_protected = _Protected()


def protect(*values: str) -> None:
    """Keep exact values out of everything this process logs.

    Args:
        values: Secrets of any shape, as `Settings.secrets()` gives them.
    """
    _protected.add(values)


def scrub(text: str) -> str:
    """Replace everything in a text that is or looks like a secret by `***`.

    Args:
        text: Any text: an event, a traceback, an address.
    """
    if _protected.pattern is not None:
        text = _protected.pattern.sub(HIDDEN, text)
    if "auth_date" in text:  # init data goes as a whole: the user's name is nobody's business either
        text = _WORD.sub(lambda word: HIDDEN if _INIT_DATA.search(word[0]) else word[0], text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def is_secret_key(key: str) -> bool:
    """Tell whether what stands under a key is secret by the key's name."""
    return _HIDDEN_KEY.fullmatch(key.lower().replace("-", "_")) is not None


def clean(value: Any, depth: int = 0) -> Any:
    """Turn a value into plain data without secrets.

    Args:
        value: Anything given to a log call; what is not plain data becomes the text that `repr` gives.
        depth: How deep in the value this is; what lies deeper than 8 becomes text.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 63 else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value).decode("utf-8", "replace"))
    if depth < DEEPEST and isinstance(value, Mapping):
        return clean_items(value, depth + 1)
    if depth < DEEPEST and isinstance(value, list | tuple | Set):
        return [clean(item, depth + 1) for item in value]
    return _text(_described(value))


def clean_items(items: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Clean a mapping: values by their key's name, keys and other values by their looks.

    Args:
        items: The mapping.
        depth: How deep it lies.
    """
    return {
        scrub(str(key)): HIDDEN if value is not None and is_secret_key(str(key)) else clean(value, depth)
        for key, value in items.items()
    }


def _text(text: str) -> str:
    """Scrub a text; lone surrogates, which no encoder takes, become visible escapes."""
    return scrub(text).encode("utf-8", "backslashreplace").decode()


def _described(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not cost the log line
        return f"<{type(value).__name__} without a repr>"
