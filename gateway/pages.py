"""Everything that is files and redirects: the pages of the apps, the browser client, media, the front page."""

from pathlib import Path

import structlog
from aiohttp import hdrs, web

from gateway import files, html
from mini_apps import client_files
from shared.media import is_upload
from shared.settings import Settings, enabled

MEDIA_POLICY = "sandbox"  # what users uploaded must not run as a page of ours
UPLOADED = "public, max-age=31536000, immutable"  # an uploaded picture never changes: each has a name of its own

log = structlog.get_logger("pages")


class Pages:
    """Serves the static files of a deployment.

    Args:
        settings: the settings; folders in them are relative to their file.
    """

    def __init__(self, settings: Settings) -> None:
        self._sandbox = settings.gateway.sandbox_url
        self._media = settings.resolve(settings.gateway.media) if settings.gateway.media else None
        self._client = client_files.folder()
        self._folders: dict[str, Path | None] = {}
        self.serve(settings)

    def serve(self, settings: Settings) -> None:
        """Serve the pages of the apps of these settings from now on; a missing folder is a line in the log."""
        before = self._folders
        apps = enabled(settings).items()
        self._folders = {name: settings.resolve(app.pages) if app.pages else None for name, app in apps}
        for name, folder in self._folders.items():
            if folder is not None and before.get(name) != folder and not folder.is_dir():
                advice = f"make it, or correct apps.{name}.pages"
                log.warning("the folder of an app's pages does not exist", app=name, folder=str(folder), advice=advice)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of files and redirects."""
        return [
            web.get("/", self._front),
            web.get("/sandbox", self._to_sandbox),
            web.get("/sandbox/", self._to_sandbox),
            web.get("/apps/{name}", self._add_slash),
            web.get("/apps/{name}/{path:.*}", self._page),
            web.get("/client/{path:.*}", self._client_file),
            web.get("/media/{path:.*}", self._media_file),
        ]

    async def _front(self, _request: web.Request) -> web.Response:
        if self._sandbox:
            raise web.HTTPFound(self._sandbox)
        apps = [(name, f"/apps/{name}/" if folder else None) for name, folder in sorted(self._folders.items())]
        return web.Response(
            text=html.index(apps), content_type="text/html", headers={hdrs.CONTENT_SECURITY_POLICY: html.POLICY}
        )

    async def _to_sandbox(self, _request: web.Request) -> web.Response:
        if self._sandbox:
            raise web.HTTPFound(self._sandbox)
        raise web.HTTPNotFound(text="There is no sandbox here: it belongs to `mini-apps dev`.")

    async def _add_slash(self, request: web.Request) -> web.Response:
        self._folder(request)
        raise web.HTTPFound(files.with_slash(request))

    async def _page(self, request: web.Request) -> web.StreamResponse:
        name, folder = self._folder(request)
        if not folder.is_dir():
            raise web.HTTPNotFound(
                text=f"The pages of {name} are missing on this server; its log says where they belong."
            )
        return await files.respond(request, folder, request.match_info["path"])

    def _folder(self, request: web.Request) -> tuple[str, Path]:
        name = request.match_info["name"]
        if name not in self._folders:
            raise web.HTTPNotFound(text="There is no mini app of this name here.")
        folder = self._folders[name]
        if folder is None:
            raise web.HTTPNotFound(text=f"The mini app {name} has no pages here: its settings name no folder of pages.")
        return name, folder

    async def _client_file(self, request: web.Request) -> web.StreamResponse:
        return await files.respond(request, self._client, request.match_info["path"])

    async def _media_file(self, request: web.Request) -> web.StreamResponse:
        if self._media is None:
            raise web.HTTPNotFound
        path = request.match_info["path"]
        response = await files.respond(request, self._media, path)
        response.headers[hdrs.CONTENT_SECURITY_POLICY] = MEDIA_POLICY
        if is_upload(path.rpartition("/")[2]):
            response.headers[hdrs.CACHE_CONTROL] = UPLOADED
        return response
