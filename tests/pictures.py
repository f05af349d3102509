"""Tiny real pictures, 3 by 2 pixels each, as image programs write them."""

import base64
import struct
import zlib

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAFUlEQVR42mM8oaHBwMDAwMDAxAADABSMARwR8KZiAAAAAElFTkSuQmCC"
)
GIF = base64.b64decode("R0lGODdhAwACAIAAAAAAAAAAACwAAAAAAwACAAAIBgABCBwYEAA7")
ANIMATED = base64.b64decode("R0lGODlhAwACAIAAAAAAAAAAACH5BAAUAAAALAAAAAADAAIAAAgGAAEIHBgQADs=")
WEBP = base64.b64decode("UklGRi4AAABXRUJQVlA4ICIAAABwAQCdASoDAAIADMDOJaACdAFAAAD+1Jg0iEH8XbRaZXAA")
WEBP_LOSSLESS = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvAkAAAAdQlCIXpf+BiOh/AAA=")
WEBP_EXTENDED = base64.b64decode(
    "UklGRkYAAABXRUJQVlA4WAoAAAAQAAAAAgAAAQAAQUxQSAcAAAAAZGRkZGRkAFZQOCAYAAAAMAEAnQEqAwACAAzAziWkAANwAP7sHYAA"
)
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wAALCAACAAMBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEG"
    "E1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJ"
    "ipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AI6//9k="
)
PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wgALCAACAAMBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAv/aAAgBAQAAAAE//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABBQJ/"
    "/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQAGPwJ//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPyF//9oACAEBAAAAEH//xAAUEAEA"
    "AAAAAAAAAAAAAAAAAAAA/9oACAEBAAE/EH//2Q=="
)
ALL = {
    "png": [PNG],
    "gif": [GIF, ANIMATED],
    "webp": [WEBP, WEBP_LOSSLESS, WEBP_EXTENDED],
    "jpg": [JPEG, PROGRESSIVE],
}


def png(width: int, height: int, more: int = 0) -> bytes:
    """Return a PNG that claims to be so large, with a comment of so many bytes; its pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"tEXt", b"a\0" + b"-" * more) + chunk(b"IEND", b"")
