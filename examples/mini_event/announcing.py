"""Tells those who attend an event that it starts: one bot worker for the whole deployment, and each of them once."""

import asyncio
import time
from html import escape
from typing import Any

from examples.mini_event import store
from examples.mini_event.models import Event
from mini_apps import App, Notice
from shared.broker import BrokerUnavailable

LOOK_SECONDS = 2.0  # between two looks
LATE_SECONDS = 3_600  # an event that began longer ago, while nobody was there to say so, is no news
TOLD_AT_ONCE = 20


async def run(app: App) -> None:
    """Look for events that start, until cancelled."""
    while True:
        async with app.db() as s:
            events = await store.due(s, time.time())
        for event in events:
            if event.start > time.time() - LATE_SECONDS:
                await _tell_everybody(app, event)
            async with app.db() as s:
                await store.mark_announced(s, event.id, time.time())
        await asyncio.sleep(LOOK_SECONDS)


async def _tell_everybody(app: App, event: Event) -> None:
    async with app.db() as s:
        telegram_ids = await store.attendees(s, event.id)
    places = asyncio.Semaphore(TOLD_AT_ONCE)

    async def tell(telegram_id: int) -> None:
        async with places:
            await _tell(app, event, telegram_id)

    async with asyncio.TaskGroup() as group:
        for telegram_id in telegram_ids:
            group.create_task(tell(telegram_id))
    app.log.info("an event starts", event_id=event.id, attendees=len(telegram_ids))


async def _tell(app: App, event: Event, telegram_id: int) -> None:
    """Notify one person; the id keeps a worker that goes on where another died from doing it again."""
    title = escape(event.title) if app.settings.parse_mode == "HTML" else event.title
    how = Notice(id=f"starts-{event.id}-{event.start}-{telegram_id}", reply_markup=_open_button(app, event))
    try:
        await app.notify(telegram_id, f"{title} is starting!", options_=how, event=event.id, title=event.title)
    except BrokerUnavailable:
        raise  # the task starts again, and nobody is told twice
    except Exception:  # one of many; the others are told all the same
        app.log.exception("somebody was not told that an event starts", event_id=event.id, user=telegram_id)


def _open_button(app: App, event: Event) -> dict[str, Any] | None:
    if not app.settings.url:
        return None
    address = f"{app.settings.url}?event={event.id}"
    return {"inline_keyboard": [[{"text": "Open the event", "web_app": {"url": address}}]]}
