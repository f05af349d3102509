"""Reads the one method call that the answer of a webhook may hold.

Source: https://core.telegram.org/bots/api#making-requests-when-getting-updates
"""

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import orjson


def parse_answer(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of the answer, `method` among them; nothing where it holds no call.

    Args:
        body: of a 2xx answer.
        content_type: its header, parameters included: JSON, form and multipart are read.
    """
    match content_type.partition(";")[0].strip().lower():
        case "application/json":
            return _json(body)
        case "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(errors="replace")))
        case "multipart/form-data":
            return _multipart(body, content_type)
        case _:
            return {}


def _json(body: bytes) -> dict[str, Any]:
    try:
        values = orjson.loads(body)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _multipart(body: bytes, content_type: str) -> dict[str, Any]:
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes) and part.get_filename() is None:
            fields[name] = content.decode(errors="replace")
    return fields
