"""The client in a real browser, and everything that goes wrong around it."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, WebSocket
from stage import OPEN, Stage, hears, staged, state

from mini_apps.embedded import EmbeddedValkey

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-client")]

ROOM = "kept:room"


@pytest_asyncio.fixture(loop_scope="session")
async def stage(context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, valkey.url, prefix, context) as stage:
        yield stage


async def test_no_node_is_there_when_the_page_opens(stage: Stage) -> None:
    page = await stage.page()
    await page.evaluate(OPEN, {})
    await state(page, "waiting")
    await page.evaluate("window.asked = mesh.request({ type: 'echo', value: 'kept' }, { timeout: 0 }); undefined")
    await stage.node()
    assert await page.evaluate("asked") == "kept"


async def test_a_node_is_killed_and_nothing_of_a_channel_is_missed_or_heard_twice(stage: Stage) -> None:
    async with stage.mortal_node("ws-1") as victim:
        page = await stage.connected()
        await page.evaluate("room => mesh.subscribe(room)", ROOM)
        other = await stage.node("ws-2")
        async with other.user(7) as ben:

            async def post(numbers: range) -> None:
                for n in numbers:
                    await ben.send(type="post", room=ROOM, n=n, id=f"p{n}")
                    await ben.receive("reply", id=f"p{n}")

            await post(range(3))
            await hears(page, "said", 3)
            await page.evaluate(
                "window.flying = mesh.request({ type: 'slow' }).catch((error) => error.code); undefined"
            )
            victim.kill()
            await post(range(3, 6))
            assert await page.evaluate("flying") == "unknown"
            await page.wait_for_function("mesh.state === 'open' && mesh.node === 'ws-2'")
            await post(range(6, 9))
            said = await hears(page, "said", 9)
    assert [message["n"] for message in said] == list(range(9))
    assert await page.evaluate("heard.filter(({ type }) => type === 'resync' || type === 'left')") == []


async def test_expired_init_data_is_told_as_that(stage: Stage) -> None:
    await stage.node()
    page = await stage.page(stage.address(auth_date=int(time.time()) - 90_000))
    await page.evaluate(OPEN, {})
    [gone] = await hears(page, "disconnect")
    assert gone == {"type": "disconnect", "code": 4500, "reason": "expired"}
    ready = await page.evaluate("mesh.ready.catch(({ name, code, reason }) => [name, code, reason])")
    assert ready == ["MeshError", 4500, "expired"]
    assert await page.evaluate("states.map(([state]) => state).slice(-2)") == ["connecting", "closed"]


async def test_who_comes_back_when_session_and_init_data_are_too_old_is_told_to_open_it_again(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.connected(stage.address(auth_date=int(time.time()) - 80_000))
    strict = {"WS__INIT_DATA_MAX_AGE": "60", "WS__SESSION_KEYS": json.dumps(["x" * 32])}  # as if a day had passed
    await stage.node("ws-2", **strict)
    await node.stop()
    [gone] = await hears(page, "disconnect")
    assert gone == {"type": "disconnect", "code": 4500, "reason": "expired"}
    assert await page.evaluate("mesh.state") == "closed"


async def test_a_ban_ends_it_for_good_now_and_when_the_page_comes_back(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.connected(stage.address(66))
    async with node.user(7) as ben:
        await ben.send(type="ban", user=66)
        [gone] = await hears(page, "disconnect")
    assert gone["code"] == 4501
    assert await page.evaluate("[mesh.state, mesh.send({ type: 'echo' })]") == ["closed", False]
    await page.reload()
    await page.evaluate(OPEN, {})
    assert (await hears(page, "disconnect"))[0]["code"] == 4501


async def test_a_revoke_makes_the_page_log_in_anew_with_init_data(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.page(stage.address(66))
    logins = _watch_logins(page)
    await page.evaluate(OPEN, {})
    await state(page, "open")
    async with node.user(7) as ben:
        await ben.send(type="revoke", user=66)
        await page.wait_for_function("states.filter(([state]) => state === 'open').length === 2")
    assert ['"data"' in login for login in logins] == [True, False, True]
    assert await page.evaluate("states.some(([state]) => state === 'closed')") is False


async def test_two_tabs_of_one_user_both_live_and_one_ends_alone(stage: Stage) -> None:
    node = await stage.node()
    one, two = await stage.connected(), await stage.connected()
    async with node.user(7) as ben:
        await ben.send(type="whisper", to=1001, text="both")
        await hears(one, "whispered")
        await hears(two, "whispered")
        await one.close()
        await ben.send(type="whisper", to=1001, text="one")
        assert [message["text"] for message in await hears(two, "whispered", 2)] == ["both", "one"]
    assert await two.evaluate("mesh.state") == "open"


async def test_one_tab_too_many_ends_the_oldest_and_does_not_fight_over_it(stage: Stage) -> None:
    await stage.node(WS__MAX_CONNECTIONS_PER_USER="1")
    one = await stage.connected()
    two = await stage.connected()
    assert (await hears(one, "disconnect"))[0]["code"] == 4502
    assert await one.evaluate("mesh.state") == "closed"
    assert await two.evaluate("[mesh.state, states.length]") == ["open", 2]


@pytest.mark.parametrize("skew", [-3 * 86_400, 3 * 86_400])
async def test_a_wrong_clock_of_the_phone_does_no_harm(stage: Stage, skew: int) -> None:
    await stage.node()
    page = await stage.page()
    logins = _watch_logins(page)
    await page.clock.set_system_time(time.time() + skew)
    await page.evaluate(OPEN, {})
    await state(page, "open")
    await page.clock.set_system_time(time.time() - skew)
    await page.evaluate("mesh.send({ type: 'close', code: 4006 })")
    await page.wait_for_function("states.filter(([state]) => state === 'open').length === 2")
    assert ['"data"' in login for login in logins] == [True, False]
    assert '"session"' in logins[1]


async def test_offline_and_online_again(stage: Stage) -> None:
    await stage.node()
    page = await _with_stopped_clock(stage)
    await stage.context.set_offline(True)
    await page.clock.run_for(36_000)
    await page.wait_for_function("states.some(([state, code]) => state === 'waiting' && code === 1006)")
    await page.clock.run_for(5_000)  # tries in vain
    await page.wait_for_function("states.filter(([state]) => state === 'waiting').length > 1")
    await state(page, "waiting")
    assert await page.evaluate("[mesh.send({ type: 'echo', id: 5, value: 'later' }), mesh.queued]") == [True, 1]
    await stage.context.set_offline(False)
    assert (await hears(page, "reply"))[0]["data"] == "later"
    assert await page.evaluate("[mesh.state, mesh.queued]") == ["open", 0]


async def test_a_page_that_is_seen_again_does_not_wait_for_its_timer(stage: Stage) -> None:
    await stage.node()
    page = await _with_stopped_clock(stage)
    await page.evaluate("mesh.send({ type: 'close', code: 1000 })")
    await state(page, "waiting")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await state(page, "open")


async def test_a_link_that_died_in_a_pocket_is_noticed_when_the_page_is_seen_again(stage: Stage) -> None:
    await stage.node()
    page = await _with_stopped_clock(stage)
    sockets = "WebSocket.prototype"
    await page.evaluate(f"window.talk = {sockets}.send; {sockets}.send = () => {{}}; undefined")  # nothing gets through
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.clock.run_for(5_000)
    assert await page.evaluate("states.at(-1)") == ["waiting", 1006, "silent"]
    await page.evaluate(f"{sockets}.send = talk; undefined")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await state(page, "open")


async def test_msgpack_says_the_same_as_json(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.connected(packed=True)
    value = {
        "n": [0, -1, 2**31, -(2**31) - 1, 2**53 - 1, 0.5],
        "text": "Zoë 👍🏽" * 100,
        "on": True,
        "no": None,
        "": {"x": []},
    }
    assert await page.evaluate("value => mesh.request({ type: 'echo', value })", value) == value
    await page.evaluate("room => mesh.subscribe(room)", ROOM)
    async with node.user(7) as ben:
        for n in range(20):
            await ben.send(type="post", room=ROOM, n=n)
        said = await hears(page, "said", 20)
        assert [message["n"] for message in said] == list(range(20))
        assert await page.evaluate("mesh.request({ type: 'wrong' }).catch(({ code }) => code)") == "wrong"
        await page.evaluate("mesh.send({ type: 'close', code: 4006 })")
        await page.wait_for_function("states.filter(([state]) => state === 'open').length === 2")
        await ben.send(type="post", room=ROOM, n=20)
        assert len(await hears(page, "said", 21)) == 21
    assert await page.evaluate("heard.filter(({ type }) => type === 'resync')") == []


async def test_a_name_with_markup_stays_a_text(stage: Stage) -> None:
    await stage.node()
    name = "<img src=x onerror=document.title='owned'>"
    page = await stage.connected(stage.address(1002, name))
    await page.evaluate("document.getElementById('name').textContent = mesh.user.name")
    assert await page.inner_text("#name") == name
    assert await page.title() == "Chat"


async def test_a_router_that_took_the_address_away_first(stage: Stage) -> None:
    await stage.node()
    page = await stage.page()
    await page.evaluate("history.replaceState(null, '', '/apps/chat/')")
    await page.evaluate(OPEN, {})
    await state(page, "open")
    assert await page.evaluate("mesh.user.name") == "Ada"


async def test_launch_parameters_that_tma_js_kept(stage: Stage) -> None:
    await stage.node()
    address = stage.address(1003, "Grace")
    page = await stage.page(f"{stage.gateway.url}/apps/chat/")
    await page.evaluate(
        "kept => sessionStorage.setItem('tapps/launchParams', JSON.stringify(kept))", address.partition("#")[2]
    )
    await page.evaluate(OPEN, {})
    await state(page, "open")
    assert await page.evaluate("mesh.user.name") == "Grace"


ORIGINAL_PAGE = """
async () => {
  const { App } = await import("/client/app.js");
  const settings = await fetch("settings.json").then((response) => response.json());
  window.seen = [];
  class Chat extends App {
    _on_welcome(event) {
      super._on_welcome(event);
      this.connection.send({ type: "echo", id: 1, value: "hello" });
    }
  }
  window.app = new Chat("chat", window.Telegram);
  for (const type of ["hello", "reply", "disconnect", "socket.disconnected"]) {
    app.connection.addEventListener(type, ({ detail }) => seen.push([type, detail]));
  }
  app.connect(settings.socket);
}
"""


async def test_a_page_of_the_original_library_logs_in_talks_and_comes_back(stage: Stage) -> None:
    node = await stage.node()
    page = await stage.page()
    await page.evaluate(ORIGINAL_PAGE)
    await page.wait_for_function("seen.length === 2")
    assert await page.evaluate("app.user.name") == "Ada"
    assert await page.evaluate("seen.find(([type]) => type === 'reply')[1].data") == "hello"
    await page.evaluate("app.connection.send({ type: 'close', code: 4006 })")
    await page.wait_for_function("seen.length === 5")
    assert await page.evaluate("seen[2][0]") == "socket.disconnected"
    async with node.user(7) as ben:
        await ben.send(type="ban", user=1001)
        await page.wait_for_function("app.connection.reconnect === false && !app.connection.connected")
    assert await page.evaluate("seen.at(-1)[0]") == "socket.disconnected"


async def test_a_notification_that_the_page_shows_needs_no_bot(
    context: BrowserContext, valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    how = {"app": "counter", "class_": "docs_app:Counter"}
    async with staged(tmp_path, valkey.url, prefix, context, **how) as stage:
        await stage.node()
        ada, ben = await stage.connected(), await stage.connected(stage.address(7, "Ben"))
        await ada.evaluate("mesh.on('notify', ({ text }) => { document.title = text }); undefined")
        assert await ben.evaluate("mesh.request({ type: 'remind', user: 1001 })") == "socket"
        assert await ada.title() == "Your turn"


async def _with_stopped_clock(stage: Stage) -> Page:
    """Open a page and log it in, then stop its timers: what it does now, it does because something happened."""
    page = await stage.page()
    await page.clock.install()
    await page.evaluate(OPEN, {})
    await state(page, "open")
    await page.clock.pause_at(time.time() + 60)
    await page.evaluate("mesh.request({ type: 'echo' })")  # the jump made it ask for a sign of life
    return page


def _watch_logins(page: Page) -> list[str]:
    """Collect the logins the page sends."""
    logins: list[str] = []

    def note(payload: Any) -> None:
        if '"type":"login"' in str(payload):
            logins.append(str(payload))

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", note)

    page.on("websocket", watch)
    return logins
