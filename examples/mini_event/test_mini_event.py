"""The events in a whole deployment: two nodes, a bot worker, a gateway, people and their phones."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.mini_event import announcing, store
from examples.mini_event.app import MiniEvent
from examples.mini_event.models import Event
from mini_apps import AppError
from mini_apps.testing import MiniAppTest, Page
from pictures import GIF, PNG
from support import eventually

Make = Callable[..., MiniAppTest]
SETTINGS = {"app": {"admins": [1001], "short-name": "events"}}


@pytest.fixture
async def t(mini_app_test: Make, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiniAppTest]:
    monkeypatch.setattr(announcing, "LOOK_SECONDS", 0.05)
    async with mini_app_test(MiniEvent, nodes=2, settings=SETTINGS, name="mini_event") as started:
        yield started


def at(seconds: float) -> str:
    """Return the moment so many seconds from now as pages send it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


async def create(page: Page, **fields: Any) -> int:
    """Let an admin create an event, and take what the page itself hears of it."""
    usual = {"title": "Tea", "description": "With cake", "start": at(3600), "duration": 2}
    made: int = await page.request(type="create-event", **{**usual, **fields})
    await page.receive("event", id=made)
    return made


async def begins(t: MiniAppTest, event_id: int, seconds_ago: float = 1) -> None:
    """Let an event's time come."""
    async with t.db() as s:
        event = await s.get(Event, event_id)
        assert event is not None
        event.start = int(time.time() - seconds_ago)
        await s.commit()


async def announced(t: MiniAppTest, event_id: int) -> None:
    async def is_done() -> bool:
        async with t.db() as s:
            event = await s.get(Event, event_id)
            return event is not None and event.announced_at is not None

    await eventually(is_done, what="the event's start told to everybody")


async def test_attendance_shows_to_everybody_on_both_nodes(t: MiniAppTest) -> None:
    ada, ben = await t.open("ada"), await t.open("ben")
    assert (ada.node, ben.node) == ("ws-1", "ws-2")
    await ben.receive("events-loaded", selected=None)
    tea = await create(ada)
    shown = await ben.receive("event", id=tea)
    assert (shown["title"], shown["description"], shown["duration"], shown["image"]) == ("Tea", "With cake", 2, "")
    assert (shown["attendees"], shown["attending"]) == (0, False)
    assert datetime.fromisoformat(shown["start"]).timestamp() == pytest.approx(time.time() + 3600, abs=60)

    answer = await ben.request(type="attend", event=tea)
    assert (answer["attendees"], answer["attending"]) == (1, True)
    assert (await ada.receive("event", id=tea, attendees=1))["attending"] is False
    mine = await ben.receive("event", id=tea, attendees=1)
    assert mine["attending"] is True
    assert mine["revision"] > shown["revision"]
    assert (await ben.request(type="attend", event=tea))["revision"] == mine["revision"], "twice is once"
    await ada.nothing_received("event")

    await ben.send(type="leave", event=tea)
    await ada.receive("event", id=tea, attendees=0)
    carol = await t.open("carol")
    await carol.receive("event", id=tea, attendees=0, attending=False)


async def test_everybody_at_once_is_counted_once(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    tea = await create(ada)
    pages = await asyncio.gather(*(t.open(f"guest{number}") for number in range(12)))
    await asyncio.gather(*(page.request(type="attend", event=tea) for page in pages for _ in range(2)))
    await ada.receive("event", id=tea, attendees=12)
    await asyncio.gather(*(page.request(type="leave", event=tea) for page in pages[:5]))
    await ada.receive("event", id=tea, attendees=7)


async def test_the_link_says_which_event_to_show(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    tea = await create(ada)
    ben = await t.open("ben", start_param=str(tea))
    assert (await ben.receive("events-loaded"))["selected"] == tea
    for odd in ("x", "9" * 30, "-1"):
        assert (await (await t.open("carol", start_param=odd)).receive("events-loaded"))["selected"] is None


async def test_admins_delete_and_the_picture_goes_too(t: MiniAppTest) -> None:
    ada, ben = await t.open("ada"), await t.open("ben")
    headers = {"Authorization": f"Bearer {ada.session}"}
    async with t.http.post("/apps/mini_event/media", data=PNG, headers=headers) as answer:
        picture = (await answer.json())["url"]
    tea = await create(ada, image=picture)
    assert (await ben.receive("event", id=tea))["image"] == picture
    async with t.http.get(picture) as answer:
        assert await answer.read() == PNG
    await ben.request(type="attend", event=tea)
    await ada.request(type="delete-event", event=tea)
    await ben.receive("delete-event", id=tea)
    async with t.http.get(picture) as answer:
        assert answer.status == 404
    with pytest.raises(AppError, match="No such event"):
        await ben.request(type="attend", event=tea)
    await ada.send(type="delete-event", id=tea)  # as the original sends it; the second of two admins makes no mistake
    await ada.receive("reply", id=tea)
    assert await create(ada) > tea, "an id is never given twice"


async def test_a_picture_that_no_event_has_goes_after_a_day(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    headers = {"Authorization": f"Bearer {ada.session}"}
    addresses = []
    for _ in range(2):
        async with t.http.post("/apps/mini_event/media", data=PNG, headers=headers) as answer:
            addresses.append((await answer.json())["url"])
    await create(ada, image=addresses[0])

    async def there() -> list[bool]:
        return [(await t.http.get(address)).status == 200 for address in addresses]

    await t.advance(23 * 3600)
    assert await there() == [True, True]
    await t.advance(2 * 3600)
    assert await there() == [True, False]


async def test_a_picture_in_the_message_as_the_original_sends_it(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    image = {"name": "../../../etc/cat.gif", "base64": base64.b64encode(GIF).decode()}
    await ada.send(type="create-event", title="Tea", description="", start="18:00", duration="1.5", image=image)
    shown = await ada.receive("event", title="Tea")
    async with t.http.get(shown["image"]) as answer:
        assert (answer.content_type, await answer.read()) == ("image/gif", GIF)


async def test_others_neither_create_nor_delete_and_bad_input_changes_nothing(t: MiniAppTest) -> None:
    ada, ben = await t.open("ada"), await t.open("ben")
    tea = await create(ada)
    good: dict[str, Any] = {"title": "Tea", "start": at(3600), "duration": 2}
    messages: list[dict[str, Any]] = [
        {"type": "create-event", **good},
        {"type": "delete-event", "id": tea},
    ]
    for message in messages:
        with pytest.raises(AppError, match="You are not an admin"):
            await ben.request(**message)
    svg = {"name": "a.svg", "base64": base64.b64encode(b"<svg onload='alert(1)'/>").decode()}
    mistakes: list[dict[str, Any]] = [
        {"image": "https://evil.example/1.png"},
        {"image": "/media/other/00000000000000000000000000000000.png"},
        {"image": svg},
        {"title": ""},
        {"duration": -1},
    ]
    for wrong in mistakes:
        with pytest.raises(AppError):
            await ada.request(type="create-event", **{**good, **wrong})
    for odd in ({"type": "attend"}, {"type": "attend", "event": 10**12}, {"type": "leave", "event": [tea]}):
        with pytest.raises(AppError, match="No such event"):
            await ben.request(**odd)
    with pytest.raises(AppError, match="Unknown command"):
        await ben.request(type="dance")
    async with t.db() as s:
        assert len(await store.found(s, "", time.time(), 10)) == 1


async def test_who_attends_hears_once_that_it_starts(t: MiniAppTest) -> None:
    ada, ben, carol = await t.open("ada"), await t.open("ben"), await t.open("carol")
    title = "Tea & <b>cake</b>"
    tea = await create(ada, title=title)
    for name, page in (("ben", ben), ("carol", carol)):
        await t.user(name).sends("/start")
        await t.bot.sent(name, "Here you find events")
        await page.request(type="attend", event=tea)
    await carol.close()
    await begins(t, tea)
    await announced(t, tea)
    await ben.receive("notify", event=tea, title=title)  # whose page is open
    message = await t.bot.sent("carol", f"{title} is starting!")
    assert message.buttons[0]["web_app"]["url"].endswith(f"/apps/mini_event/?event={tea}")

    # A worker that died between telling them and noting it: the next one tells nobody again.
    async with t.db() as s:
        event = await s.get(Event, tea)
        assert event is not None
        event.announced_at = None
        await s.commit()
    await t.worker.stop()
    await t.worker.start()
    await announced(t, tea)
    await t.bot.nothing_sent()
    await ben.nothing_received("notify")


async def test_what_began_long_ago_is_no_news(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    tea = await create(ada, duration=3)
    await ada.request(type="attend", event=tea)
    await begins(t, tea, announcing.LATE_SECONDS + 60)
    await announced(t, tea)
    await t.bot.nothing_sent()
    await ada.nothing_received("notify")


async def inline(t: MiniAppTest, query: str) -> list[dict[str, Any]]:
    """Type `@bot query` on Ben's phone, and return what the bot offers."""
    phone = f"{t.telegram.url}/sandbox/api/bots/mini_event/users/1002/inline"
    async with t.http.post(phone, json={"query": query}) as answer:
        query_id = (await answer.json())["query_id"]
    await eventually(lambda: query_id in t.telegram.answers, what=f"results for {query!r}")
    found: list[dict[str, Any]] = t.telegram.answers[query_id]["results"]
    return found


async def test_inline_mode_finds_events_and_links_to_them(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    tea = await create(ada, title="<Tea>", description="100% cake")
    run = await create(ada, title="Run", description="along the river")
    assert [one["title"] for one in await inline(t, "")] == ["<Tea>", "Run"]
    assert [one["title"] for one in await inline(t, "RIVER")] == ["Run"]
    assert [one["title"] for one in await inline(t, "0% c")] == ["<Tea>"]
    assert await inline(t, "%") == await inline(t, "100%"), "a sign of the database is only a sign"
    [shared] = await inline(t, f"event:{run}")
    assert shared["title"] == "Run"
    assert await inline(t, "event:999") == await inline(t, "event:x") == []
    button = shared["reply_markup"]["inline_keyboard"][0][0]
    assert button["url"] == f"https://t.me/mini_event_bot/events?startapp={run}"
    await t.user("ben").sends("/events")
    assert "<Tea>" in (await t.bot.sent("ben")).text
    await ada.request(type="delete-event", id=tea)
    assert [one["title"] for one in await inline(t, "")] == ["Run"]


async def test_a_banned_user_is_out_at_once_and_stays_counted(t: MiniAppTest) -> None:
    ada, ben = await t.open("ada"), await t.open("ben")
    tea = await create(ada)
    await ben.request(type="attend", event=tea)
    await t.app.ban(1002)
    assert await ben.closed() == 4501
    carol = await t.open("carol")
    await carol.receive("event", id=tea, attendees=1)


async def test_a_page_that_lost_its_connection_sees_what_is_true_now(t: MiniAppTest) -> None:
    ada, ben = await t.open("ada"), await t.open("ben")
    tea, run = await create(ada), await create(ada, title="Run")
    await ben.receive("event", id=run)
    await ben.lose()
    await ada.request(type="delete-event", id=tea)
    await ada.request(type="attend", event=run)
    ben.messages.clear()
    await ben.reconnect(node=0)
    await ben.receive("events-loaded")
    heard = {(message["id"], message["attendees"]) for message in ben.messages if message["type"] == "event"}
    assert heard == {(run, 1)}
    await t.app.signal("resync")
    await ben.receive("events-loaded")
