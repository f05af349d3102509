"""Static files of a folder: which file a path means, and the response that carries it."""

import asyncio
import os
import re
from dataclasses import dataclass
from mimetypes import MimeTypes
from pathlib import Path

from aiohttp import hdrs, web

INDEX = "index.html"
ALWAYS_ASK = frozenset({".html", ".htm", ".js", ".mjs", ".css", ".json", ".map", ".wasm", ".webmanifest", ".ts"})
MAX_AGE = 300  # seconds that pictures, fonts and sounds may be used without asking
SMALLEST_GZIP, LARGEST_GZIP = 1_024, 4_194_304  # bytes; below it does not pay, above it costs too much each time
TEXT_TYPES = ("text/", "application/json", "application/manifest+json", "application/xml", "image/svg+xml")

_TYPES = MimeTypes()  # Python's own table: the same on every machine
for _type, _suffix in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("text/plain", ".md"),
    ("application/json", ".map"),
    ("application/manifest+json", ".webmanifest"),
    ("application/wasm", ".wasm"),
    ("font/woff", ".woff"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _suffix)


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to: a file, or with `is_folder` a folder whose address lacks its slash."""

    path: Path
    size: int = 0
    is_folder: bool = False


def safe_parts(relative: str) -> tuple[str, ...] | None:
    """Return the names a decoded URL path consists of, or None for one that must not be looked up.

    Args:
        relative: such as `css/main.css`; empty or with a slash at its end it means the folder's index.
    """
    names = relative.split("/")
    if names[-1] == "":
        names[-1] = INDEX
    # A dot first covers `.`, `..` and dotfiles; a backslash separates on Windows; NUL and the like are no names.
    bad = any(not name or name.startswith(".") or "\\" in name or not name.isprintable() for name in names)
    return None if bad else tuple(names)


def find(root: Path, relative: str) -> Found | None:
    """Look a URL path up in a folder; blocks on the file system.

    Symbolic links are followed only to places inside the folder.

    Args:
        root: the folder.
        relative: the decoded path below it.
    """
    parts = safe_parts(relative)
    if parts is None:
        return None
    try:
        target = root.joinpath(*parts).resolve(strict=True)
        if not target.is_relative_to(root.resolve(strict=True)) or not os.access(target, os.R_OK):
            return None
        if target.is_dir():
            return Found(target, is_folder=True)
        return Found(target, target.stat().st_size) if target.is_file() else None
    except (OSError, ValueError, RuntimeError):  # not there, a name no file can have, links in a circle
        return None


def content_type(name: str) -> str:
    """Return the Content-Type of a file by its name."""
    if name.endswith(".d.ts"):
        return "text/plain; charset=utf-8"
    kind, encoding = _TYPES.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def cache_control(name: str) -> str:
    """Return the Cache-Control of a file: code is always asked for anew (a 304 is cheap), the rest after minutes."""
    return "no-cache" if Path(name).suffix.lower() in ALWAYS_ASK else f"public, max-age={MAX_AGE}"


async def respond(request: web.Request, root: Path, relative: str) -> web.StreamResponse:
    """Return the response with the file of a path.

    Raises:
        aiohttp.web.HTTPFound: the path is a folder's without its slash.
        aiohttp.web.HTTPNotFound: there is no such file.
    """
    found = await asyncio.to_thread(find, root, relative)
    if found is None:
        raise web.HTTPNotFound
    if found.is_folder:
        raise web.HTTPFound(with_slash(request))
    kind = content_type(found.path.name)
    headers = {hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: cache_control(found.path.name)}
    response = web.FileResponse(found.path, headers=headers)
    if kind.startswith(TEXT_TYPES):
        response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        if SMALLEST_GZIP <= found.size <= LARGEST_GZIP and _wants_gzip(request):
            response.enable_compression(web.ContentCoding.gzip)
    return response


def with_slash(request: web.Request) -> str:
    """Return the request's own address with a slash behind its path, query kept."""
    query = request.rel_url.raw_query_string
    return f"{request.rel_url.raw_path}/" + (f"?{query}" if query else "")


def _wants_gzip(request: web.Request) -> bool:
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    # Parts of a file are parts of its plain form.
    return (
        re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted) is not None and hdrs.RANGE not in request.headers
    )
