"""Bytes of a message and back: JSON (orjson) for text frames and Redis, msgpack for the binary subprotocol."""

from collections.abc import Mapping
from typing import Any

import msgpack
import orjson


class DecodeError(ValueError):
    """The bytes are not a message; the text says why without repeating the bytes."""


def encode_json(message: Mapping[str, Any]) -> bytes:
    """Return the message as UTF-8 JSON.

    Raises:
        TypeError: a value has no JSON form (orjson writes dataclasses, datetimes, enums and UUIDs; not sets or bytes).
    """
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"this message has no JSON form: {error}") from error


def decode_json(data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`.

    Raises:
        DecodeError: not UTF-8, not JSON, nested too deeply, or not an object.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error.msg} at character {error.pos}") from None
    return _object(message)


def encode_msgpack(message: Mapping[str, Any]) -> bytes:
    """Return the message as msgpack."""
    return msgpack.packb(message)


def decode_msgpack(data: bytes) -> dict[str, Any]:
    """Return the msgpack map in `data`, which must have string keys and hold nothing that JSON cannot.

    Raises:
        DecodeError: not msgpack, trailing bytes, an extension type, or not a map with string keys.
    """
    try:
        message = msgpack.unpackb(data, strict_map_key=False, ext_hook=_no_extension)
        orjson.dumps(message)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {type(error).__name__}") from None
    return _object(message)


def json_to_msgpack(data: bytes) -> bytes:
    """Transcode a finished JSON message, once per message and node, for the clients that speak msgpack."""
    return encode_msgpack(orjson.loads(data))


def _no_extension(_code: int, _data: bytes) -> Any:
    raise ValueError("extension types are not used")


def _object(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise DecodeError(f"a message is an object, not {_kind(message)}")
    return message


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
