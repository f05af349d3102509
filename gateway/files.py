"""Static files of a folder: which file a path means, and the response that carries it."""

import asyncio
import gzip
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from mimetypes import MimeTypes
from pathlib import Path

from aiohttp import ETag, hdrs, web

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
    """What a path leads to: a file with its size in bytes and time of change in ns, or a folder without its slash."""

    path: Path
    size: int = 0
    changed: int = 0
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
        about = target.stat()
        return Found(target, about.st_size, about.st_mtime_ns) if target.is_file() else None
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
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: cache_control(found.path.name)}
    if kind.startswith(TEXT_TYPES):
        headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        if SMALLEST_GZIP <= found.size <= LARGEST_GZIP and _wants_gzip(request):
            return await _packed(request, found, headers)
    return web.FileResponse(found.path, headers=headers)


async def _packed(request: web.Request, found: Found, headers: Mapping[str, str]) -> web.Response:
    """Return the file compressed. aiohttp's FileResponse could, but its 304 then carries bytes, which breaks HTTP."""
    tag = f"{found.changed:x}-{found.size:x}"  # the value FileResponse gives the plain form; weak, as the bytes differ
    response = web.Response(headers=headers)
    response.etag = ETag(tag, is_weak=True)
    response.last_modified = found.changed / 1e9
    if _unchanged(request, tag, found.changed / 1e9):
        response.set_status(304)
        return response
    try:
        response.body = await asyncio.to_thread(_gzipped, found.path)
    except OSError:  # taken away since it was found, as a deployment does
        raise web.HTTPNotFound from None
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return response


def _gzipped(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


def _unchanged(request: web.Request, tag: str, changed: float) -> bool:
    """Tell whether the caller has it already. Source: RFC 9110, section 13.2.2."""
    if (tags := request.if_none_match) is not None:
        return any(one.value in (tag, "*") for one in tags)
    since = request.if_modified_since
    return since is not None and changed <= since.timestamp()


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
