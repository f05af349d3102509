"""The snippets of docs/client.md, each run as it stands in a page against a real node."""

import base64
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from deployment import PATIENCE_MS, ROOT, watch_errors
from npm import run_npm
from playwright.async_api import BrowserContext, Page, expect
from stage import Stage, staged

from mini_apps.embedded import EmbeddedValkey
from shared.images import identify

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-client")]

PAGE = """<!doctype html><title>Counter</title><link rel=icon href=data:,>
<p id=counter></p> <button id=button>Click</button> <input type=file id=picker> <img id=photo> <div id=root></div>"""
PLACE = b"48.8584 N, 2.2945 E"
# A photo of 1200 by 800 pixels, with a note of the place behind its first marker, as cameras write it.
PHOTO = """async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1200, height: 800 });
    canvas.getContext("2d").fillRect(100, 100, 500, 300);
    const [kind, bytes] = canvas.toDataURL("image/jpeg").split(",");
    const note = "\\xff\\xe1\\x00\\x15PLACE";
    return btoa(atob(bytes).slice(0, 2) + note + atob(bytes).slice(2));
}""".replace("PLACE", PLACE.decode())
FENCE = re.compile(r"^```(js|jsx|html)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets() -> dict[str, str]:
    """Return them by the heading they stand under."""
    found = {}
    for section in re.split(r"^## ", (ROOT / "docs" / "client.md").read_text(), flags=re.MULTILINE):
        for language, code in FENCE.findall(section):
            found[section.partition("\n")[0]] = _script_of(code) if language == "html" else code
    return found


def _script_of(page: str) -> str:
    return page.partition('<script type="module">')[2].partition("</script>")[0]


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    how = {"app": "counter", "class_": "docs_app:Counter", "html": PAGE, "more": 'uploads = "everybody"'}
    async with staged(tmp_path, valkey.url, prefix, context, **how) as stage:
        yield stage


@contextlib.asynccontextmanager
async def running(stage: Stage, code: str, address: str = "") -> AsyncIterator[Page]:
    """Run it in a page on a node; no error may come of it."""
    await stage.node()
    page = await stage.page(address)
    errors = watch_errors(page)
    await page.add_script_tag(type="module", content=code)
    yield page
    assert errors == []


async def shows(page: Page, text: str) -> None:
    await expect(page.locator("#counter")).to_have_text(text, timeout=PATIENCE_MS)


def test_every_snippet_is_run_here() -> None:
    assert list(snippets()) == [
        "# The browser client",
        "Sending",
        "Hearing",
        "Channels",
        "Pictures",
        "Showing the connection",
        "React",
        "Vue",
        "msgpack",
        "Pages of the original library",
        "Without the client",
    ]


@pytest.mark.parametrize("heading", ["# The browser client", "Pages of the original library"])
async def test_pages_that_count(stage: Stage, heading: str) -> None:
    async with running(stage, snippets()[heading]) as page:
        await shows(page, "0")
        await page.click("#button")
        await shows(page, "1")
        assert await page.title() == "Hello Ada"


@pytest.mark.parametrize("heading", ["Sending", "Hearing", "msgpack"])
async def test_pages_that_ask_and_read(stage: Stage, heading: str) -> None:
    async with running(stage, snippets()[heading]) as page:
        await shows(page, "0")


async def test_channels(stage: Stage) -> None:
    async with running(stage, snippets()["Channels"]) as page:
        await shows(page, "game:42: 7")


async def test_pictures_are_made_smaller_and_lose_what_the_camera_wrote(stage: Stage) -> None:
    async with running(stage, snippets()["Pictures"]) as page:
        await page.wait_for_function("picker.onchange")
        photo = base64.b64decode(await page.evaluate(PHOTO))
        await page.set_input_files("#picker", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo})
        await page.wait_for_function("photo.naturalWidth === 800")
        stored = stage.gateway.settings.resolve(await page.evaluate("new URL(photo.src).pathname.slice(1)"))
    assert PLACE in photo
    assert PLACE not in stored.read_bytes()
    assert (identify(photo).width, identify(stored.read_bytes()).width) == (1200, 800)


async def test_what_is_no_picture_is_told_to_the_page(stage: Stage) -> None:
    async with running(stage, snippets()["Pictures"]) as page:
        await page.wait_for_function("picker.onchange")
        await page.set_input_files("#picker", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"<svg/>"})
        await shows(page, "This is no picture that can be shown")


async def test_an_upload_with_an_old_session_logs_in_anew(stage: Stage) -> None:
    await stage.node()
    page = await stage.connected()
    await page.evaluate("Object.defineProperty(mesh, 'session', { value: 'too-old' })")
    url = await page.evaluate(f"""async () => {{
        const {{ upload }} = await import("/client/media.js");
        const bytes = Uint8Array.from(atob(await ({PHOTO})()), (letter) => letter.charCodeAt());
        return (await upload(mesh, new Blob([bytes], {{ type: "image/jpeg" }}), {{ side: 0 }})).url;
    }}""")
    stored = stage.gateway.settings.resolve(url.removeprefix("/"))
    assert PLACE in stored.read_bytes(), "sent as it is"


async def test_the_end_is_shown(stage: Stage) -> None:
    old = stage.address(auth_date=1_700_000_000)
    async with running(stage, snippets()["Showing the connection"], old) as page:
        await shows(page, "Please close this page and open it from Telegram again.")
        await expect(page.locator("#button")).to_be_disabled()


async def test_by_hand(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.page()
    data = "new URLSearchParams(location.hash.slice(1)).get('tgWebAppData')"
    code = snippets()["Without the client"].replace("wss://miniapps.example.com/ws", node.url)
    await page.add_script_tag(type="module", content=f"window.Telegram = {{ WebApp: {{ initData: {data} }} }}; {code}")
    await shows(page, "0")


async def test_react(stage: Stage, package: Path) -> None:
    async with running(stage, bundled(package, snippets()["React"], "page.jsx")) as page:
        root = page.locator("#root")
        await expect(root.locator("h1")).to_have_text("Hello Ada", timeout=PATIENCE_MS)
        await expect(root.locator("p")).to_have_text("Moves:", timeout=PATIENCE_MS)
        await root.locator("button").click()
        await expect(root.locator("button")).to_have_text("1", timeout=PATIENCE_MS)
        await move(page)
        await expect(root.locator("p")).to_have_text("Moves: 7", timeout=PATIENCE_MS)


async def test_vue(stage: Stage, package: Path) -> None:
    async with running(stage, bundled(package, snippets()["Vue"], "page.js")) as page:
        button = page.locator("#root button")
        await expect(button).to_have_text("Ada: 0 in game 42", timeout=PATIENCE_MS)
        await button.click()
        await expect(button).to_have_text("Ada: 1 in game 42", timeout=PATIENCE_MS)
        await move(page)
        await expect(button).to_have_text("Ada: 7 in game 42", timeout=PATIENCE_MS)


async def move(page: Page) -> None:
    """Make a move over another connection of the same page."""
    await page.add_script_tag(type="module", content=snippets()["Channels"])


def bundled(package: Path, code: str, name: str) -> str:
    """Make one module of a snippet and of what it imports, as a bundler of the package's users does."""
    page = package / "test" / name
    page.write_text(code)
    production = """--define:process.env.NODE_ENV='production'"""
    how = ("--bundle", "--format=esm", "--jsx=automatic", "--log-level=error", production)
    result = run_npm(package, "exec", "--offline", "--", "esbuild", str(page), *how)
    assert result.returncode == 0, result.stderr
    return result.stdout
