"""Telegram counts text in UTF-16 code units and errors in UTF-8 bytes; Python counts code points."""


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 code units."""
    return len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def utf16_index(text: str, index: int) -> int:
    """Return the UTF-16 offset of a code point index."""
    return utf16_length(text[:index])


def byte_index(text: str, index: int) -> int:
    """Return the UTF-8 offset of a code point index."""
    return len(text[:index].encode())
