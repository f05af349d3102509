"""Pictures that pages send: judged, checked by their bytes, and put whole into the media folder.

Each step refuses by itself, the cheap ones first, so that a body is only read from who may send it.
"""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator

import structlog
from aiohttp import hdrs, web

from gateway import metrics
from gateway.answers import json_response
from gateway.refused import Refused
from gateway.upload_rights import Rights
from shared.bus import Bus
from shared.images import BadImage
from shared.media import MediaFolder, MediaFull, Stored
from shared.rate_limit import RateLimit
from shared.settings import AppSettings, Settings

ROUTE = "/apps/{name}/media"
BODY_SECONDS = 120.0  # for a whole picture, over a slow phone's link
SILENCE_SECONDS = 15.0  # without a byte
MOST_AT_ONCE = 16  # uploads whose bodies are in memory; the next is told to come back
MOST_OF_ONE = 4  # of these of one user
BUSY_SECONDS = 2
PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "authorization, content-type",
    hdrs.ACCESS_CONTROL_MAX_AGE: "600",
}
STATUS = {"type": 415, "broken": 422, "size": 422}  # of a `BadImage`, by its reason

log = structlog.get_logger("uploads")


class Uploads:
    """Takes pictures in.

    Args:
        settings: the settings; folders in them are relative to their file.
    """

    def __init__(self, settings: Settings) -> None:
        gateway = settings.gateway
        folder = settings.resolve(gateway.media) if gateway.media else None
        self._folder = MediaFolder(folder, gateway.media_max_bytes) if folder else None
        self._limit = gateway.upload_max_bytes
        self._rate = RateLimit(gateway.uploads_per_minute)
        self._running: Counter[tuple[str, int]] = Counter()
        self._rights = Rights(settings)

    def serve(self, settings: Settings) -> None:
        """Take pictures for the apps of these settings from now on."""
        self._rights.serve(settings)

    def attach(self, bus: Bus) -> None:
        """Ask Redis through this from now on; before, uploads are answered with 503."""
        self._rights.bus = bus

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a page of the app may still be called `media`."""
        return [web.post(ROUTE, self._take), web.options(ROUTE, self._preflight)]

    async def _preflight(self, _request: web.Request) -> web.Response:
        return web.Response(status=204, headers=PREFLIGHT)

    async def _take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            app = self._rights.app(name)
        except Refused as refused:
            return refused.response()
        try:
            response, verdict = await self._judge(request, name, app), "taken"
        except Refused as refused:
            response, verdict = refused.response(), refused.verdict
        metrics.uploads.labels(name, verdict).inc()
        return response

    async def _judge(self, request: web.Request, name: str, app: AppSettings) -> web.Response:
        if self._folder is None:
            raise Refused(501, "no folder", "this gateway has no folder for pictures: set gateway.media")
        session = self._rights.session(name, request, time.time())
        await self._rights.admit(name, session)
        user = (name, session.telegram_id)
        if wait := self._rate.take(f"{name} {session.telegram_id}", time.monotonic()):
            raise Refused(429, "limited", "too many uploads in a minute", retry_after=math.ceil(wait))
        with self._place(user):
            raw = await self._body(request)
            stored = await asyncio.to_thread(_store, self._folder, name, raw)
        image, address = stored.image, app.media_address(stored.name)
        log.info("a picture was stored", app=name, user=session.telegram_id, name=stored.name, bytes=image.length)
        says = {"url": address, "type": image.content_type, "width": image.width, "height": image.height}
        return json_response({**says, "bytes": image.length}, 201, {hdrs.LOCATION: address})

    @contextlib.contextmanager
    def _place(self, user: tuple[str, int]) -> Iterator[None]:
        """Hold one of the places for uploads while the block runs."""
        if self._running[user] >= MOST_OF_ONE:
            raise Refused(429, "limited", "wait for your other uploads", retry_after=BUSY_SECONDS)
        if self._running.total() >= MOST_AT_ONCE:
            raise Refused(503, "busy", "too many pictures come at once; try again", retry_after=BUSY_SECONDS)
        self._running[user] += 1
        try:
            yield
        finally:
            self._running[user] -= 1
            if not self._running[user]:
                del self._running[user]

    async def _body(self, request: web.Request) -> bytes:
        if hdrs.CONTENT_ENCODING in request.headers:
            raise Refused(415, "type", "send the picture as it is, without a Content-Encoding")
        if self._limit and (request.content_length or 0) > self._limit:
            raise self._too_large()
        raw = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while chunk := await self._chunk(request):
                    raw += chunk
                    if self._limit and len(raw) > self._limit:
                        raise self._too_large()
        except TimeoutError:
            raise Refused(408, "too slow", "the picture took too long to arrive") from None
        except web.RequestPayloadError:
            raise Refused(400, "bad", "the body cannot be read: its encoding is broken") from None
        return bytes(raw)

    async def _chunk(self, request: web.Request) -> bytes:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await request.content.readany()

    def _too_large(self) -> Refused:
        return Refused(413, "too large", f"a picture has at most {self._limit} bytes")


def _store(folder: MediaFolder, app: str, raw: bytes) -> Stored:
    try:
        return folder.store(app, raw)
    except BadImage as error:
        hint = "; send the file itself as the body" if error.reason == "type" else ""
        raise Refused(STATUS[error.reason], error.reason, f"{error}{hint}") from None
    except MediaFull as error:
        log.warning("a picture was refused", app=app, reason=str(error), advice="raise gateway.media-max-bytes")
        raise Refused(507, "full", "there is no room for more pictures") from None
    except OSError as error:
        log.warning("a picture could not be written", app=app, reason=error.strerror, advice="correct gateway.media")
        raise Refused(503, "unwritable", "pictures cannot be stored now", retry_after=BUSY_SECONDS) from None
