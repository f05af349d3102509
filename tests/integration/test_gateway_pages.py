"""Pages, the browser client and media over a real socket."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway_support import SETTINGS, Gateway, running, settings_of
from mini_apps import client_files
from mini_apps.embedded import EmbeddedValkey

CODE = "console.log('counter');\n" * 200


@pytest.fixture
async def gateway(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    (tmp_path / "pages" / "sub").mkdir(parents=True)
    (tmp_path / "media").mkdir()
    (tmp_path / "pages" / "index.html").write_text("<h1>Zähler</h1>")
    (tmp_path / "pages" / "sub" / "index.html").write_text("sub")
    (tmp_path / "pages" / "app.js").write_text(CODE)
    (tmp_path / "pages" / ".env").write_text("BOT_TOKEN")
    (tmp_path / "media" / "cat.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for folder in ("pages", "media"):
        (tmp_path / folder / "out.toml").symlink_to(tmp_path / "mini-apps.toml")
        (tmp_path / folder / "out").symlink_to(tmp_path)
    async with running(settings_of(tmp_path, valkey.url, prefix)) as started:
        yield started


async def test_the_page_and_its_headers(gateway: Gateway) -> None:
    status, body, headers = await gateway.get("/apps/counter/")
    assert (status, body.decode()) == (200, "<h1>Zähler</h1>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Referrer-Policy" in headers
    assert "https://*.telegram.org" in headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in headers
    assert "aiohttp" not in headers["Server"]


async def test_a_fresh_copy_is_not_sent_again(gateway: Gateway) -> None:
    _, _, headers = await gateway.get("/apps/counter/app.js")
    assert (await gateway.get("/apps/counter/app.js", **{"If-None-Match": headers["ETag"]}))[:2] == (304, b"")
    assert (await gateway.get("/apps/counter/app.js", **{"If-Modified-Since": headers["Last-Modified"]}))[0] == 304
    assert (await gateway.get("/apps/counter/app.js", **{"If-None-Match": '"other"'}))[0] == 200


async def test_text_is_compressed_where_the_browser_takes_it(gateway: Gateway) -> None:
    plain = await gateway.get("/apps/counter/app.js", **{"Accept-Encoding": "identity"})
    packed = await gateway.get("/apps/counter/app.js", **{"Accept-Encoding": "br, gzip"})
    refused = await gateway.get("/apps/counter/app.js", **{"Accept-Encoding": "gzip;q=0, identity"})
    assert plain[1].decode() == refused[1].decode() == CODE
    assert packed[2]["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed[1]).decode() == CODE
    assert len(packed[1]) < len(plain[1]) / 5
    assert packed[2]["ETag"] == "W/" + plain[2]["ETag"]
    assert "Accept-Encoding" in plain[2]["Vary"]
    again = {"Accept-Encoding": "gzip", "If-None-Match": packed[2]["ETag"]}
    assert (await gateway.get("/apps/counter/app.js", **again))[0] == 304


async def test_a_part_of_a_file(gateway: Gateway) -> None:
    status, body, headers = await gateway.get("/apps/counter/app.js", Range="bytes=0-6", **{"Accept-Encoding": "gzip"})
    assert (status, body) == (206, b"console")
    assert headers["Content-Range"] == f"bytes 0-6/{len(CODE)}"


async def test_redirects_keep_the_query(gateway: Gateway) -> None:
    assert (await gateway.get("/apps/counter?a=%20b"))[2]["Location"] == "/apps/counter/?a=%20b"
    assert (await gateway.get("/apps/counter/sub?x=1"))[2]["Location"] == "/apps/counter/sub/?x=1"
    assert (await gateway.get("/apps/counter/sub/"))[1] == b"sub"


@pytest.mark.parametrize(
    "path",
    [
        "/apps/counter/.env",
        "/apps/counter/%2eenv",
        "/apps/counter/../mini-apps.toml",
        "/apps/counter/%2e%2e/mini-apps.toml",
        "/apps/counter/..%2fmini-apps.toml",
        "/apps/counter/sub/%2e%2e%2f%2e%2e%2fmini-apps.toml",
        "/apps/counter/..%5cmini-apps.toml",
        "/apps/counter/out.toml",
        "/apps/counter/out/mini-apps.toml",
        "/apps/counter//etc/passwd",
        "/apps/counter/%00",
        "/apps/counter/nothing.js",
        "/apps/nobody/",
        "/apps/nobody",
        "/apps/bare/",
        "/client/../pyproject.toml",
        "/media/../mini-apps.toml",
        "/media/%2e%2e%2fmini-apps.toml",
        "/media/out.toml",
        "/media/out/mini-apps.toml",
        "/media/",
        "/sandbox/",
        "/nothing",
    ],
)
async def test_what_is_not_there(gateway: Gateway, path: str) -> None:
    status, body, headers = await gateway.get(path)
    assert status == 404
    assert headers["Content-Type"] == "application/json"
    assert b"error" in body
    status, body, headers = await gateway.get(path, Accept="text/html,*/*")
    assert status == 404
    assert headers["Content-Type"].startswith("text/html")
    assert b"Not Found" in body


async def test_media_cannot_run_as_our_page(gateway: Gateway) -> None:
    status, body, headers = await gateway.get("/media/cat.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert body.startswith(b"<svg")
    assert headers["Content-Security-Policy"].startswith("sandbox;")


async def test_the_browser_client(gateway: Gateway) -> None:
    some = next(path for path in sorted(client_files.folder().iterdir()) if path.is_file())
    status, body, _ = await gateway.get(f"/client/{some.name}", **{"Accept-Encoding": "identity"})
    assert (status, body) == (200, some.read_bytes())


async def test_the_front_page_lists_the_apps(gateway: Gateway) -> None:
    status, body, _ = await gateway.get("/")
    assert status == 200
    assert b'href="/apps/counter/"' in body
    assert b"bare" in body
    assert b'href="/apps/bare/"' not in body


async def test_in_development_the_front_page_is_the_sandbox(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("hello")
    settings = settings_of(tmp_path, valkey.url, prefix, sandbox_url="http://127.0.0.1:9999/")
    async with running(settings) as gateway:
        assert (await gateway.get("/"))[2]["Location"] == "http://127.0.0.1:9999/"
        assert (await gateway.get("/sandbox/"))[2]["Location"] == "http://127.0.0.1:9999/"
        assert "http://localhost:9999" in (await gateway.get("/apps/counter/"))[2]["Content-Security-Policy"]


async def test_disabled_apps_are_not_there(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.html").write_text("hello")
    text = SETTINGS.replace("[apps.bare]", "enabled = false\n[apps.bare]")
    async with running(settings_of(tmp_path, valkey.url, prefix, text=text)) as gateway:
        assert await gateway.status("/apps/counter/") == 404
        assert await gateway.status("/apps/counter/settings.json") == 404
        assert b"counter" not in (await gateway.get("/settings.json"))[1]


async def test_other_methods_are_told_so(gateway: Gateway) -> None:
    async with gateway.session.post(gateway.url + "/apps/counter/") as answer:
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
    async with gateway.session.head(gateway.url + "/apps/counter/") as answer:
        assert answer.status == 200
