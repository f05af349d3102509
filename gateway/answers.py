"""The answers that are not files: JSON, refusals that say when to come back, errors for programs and for people."""

from http import HTTPStatus

import orjson
from aiohttp import hdrs, web

from gateway import html

_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this kind of request.",
    413: "The request is too large.",
    500: "Something went wrong here. It was noted; please try again.",
}


def json_response(body: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON response that caches do not keep."""
    kept = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    return web.Response(body=orjson.dumps(body) + b"\n", status=status, content_type="application/json", headers=kept)


def refusal(status: int, error: str, retry_after: int) -> web.Response:
    """Return a refusal that says in how many seconds to come back, in the body (pages) and the header (everybody)."""
    return json_response({"error": error, "retry_after": retry_after}, status, {hdrs.RETRY_AFTER: str(retry_after)})


def error_response(
    request: web.Request, status: int, text: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """Return an error as a page for a browser that asks for one, else as JSON.

    Args:
        request: what failed.
        status: HTTP status from 400.
        text: a sentence for the reader; else a usual one.
        headers: further headers.
    """
    phrase = HTTPStatus(status).phrase
    text = text or _SENTENCES.get(status, phrase)
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        return json_response({"error": text}, status, headers)
    kept = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_SECURITY_POLICY: html.POLICY, **(headers or {})}
    return web.Response(
        text=html.page(str(status), phrase, text), status=status, content_type="text/html", headers=kept
    )
