"""Events that people attend, with messages and fields of the original library's example."""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from examples.mini_event import announcing, pictures, sharing, store
from examples.mini_event.drafts import Draft, read_draft, read_id
from examples.mini_event.models import Attendance, Event
from mini_apps import App, AppError, Client
from shared.images import BadImage
from shared.media import MediaFull

if TYPE_CHECKING:
    from aiogram.types import InlineQuery, Message


class MiniEvent(App):
    """Events live in the database; nodes hear of a change by a signal and tell each client how it looks to them."""

    def register_models(self) -> None:
        """Bring the two tables."""
        self.settings.database_models.extend([Event, Attendance])

    # The page

    async def on_client_authenticated(self, client: Client) -> None:
        """Show all events to whoever comes in, then say which one they came for."""
        await self._show_all(client)

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        """Do what the page asks; a reply tells how the event looks now."""
        match type:
            case "attend" | "leave":
                return await self._attend(client, read_id(data.get("event")), comes=type == "attend")
            case "create-event":
                return await self._create(client, data)
            case "delete-event":
                # `id` is the original's; for a client of ours that is the number of the request.
                return await self._delete(client, read_id(data.get("event", data.get("id"))))
            case "events":
                return await self._show_all(client)
        raise AppError("Unknown command", code="unknown")

    async def on_signal(self, name: str, data: dict[str, Any]) -> None:
        """Tell this node's clients of an event that changed; who attends is different for each."""
        if name == "resync":
            await asyncio.gather(*map(self._show_all, list(self.clients.values())))
            return
        async with self.db() as s:
            known = await store.with_attendees(s, data["id"])
        if known is None:  # deleted meanwhile, which everybody is told
            return
        event, user_ids = known
        for client in list(self.clients.values()):
            shown = store.Seen(event, len(user_ids), client.user.id in user_ids)
            await client.send(type="event", **shown.to_json())

    async def _show_all(self, client: Client) -> None:
        async with self.db() as s:
            events = await store.coming(s, client.user.id, time.time())
        for shown in events:
            await client.send(type="event", **shown.to_json())
        wanted = (client.user.telegram_data or {}).get("start_param") or ""
        selected = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else None
        await client.send(type="events-loaded", selected=selected)

    async def _attend(self, client: Client, event_id: int, *, comes: bool) -> dict[str, Any] | None:
        async with self.db() as s:
            changed = await store.attend(s, event_id, client.user.id, comes=comes)
        if changed:
            await self.signal("event", id=event_id)
        async with self.db() as s:
            shown = await store.seen(s, event_id, client.user.id)
        return None if shown is None else shown.to_json()

    # Admins

    async def _create(self, client: Client, data: dict[str, Any]) -> int:
        _only_admins(client)
        draft = read_draft(data, time.time())
        event = Event(title=draft.title, description=draft.description, start=draft.start, duration=draft.duration)
        event.image = await self._picture(draft)
        try:
            async with self.db() as s:
                s.add(event)
                await s.commit()
        except BaseException:
            await self._forget_picture(event.image)
            raise
        self.log.info("an event was created", event_id=event.id, by=client.user.telegram_id)
        await self.signal("event", id=event.id)
        return event.id

    async def _delete(self, client: Client, event_id: int) -> None:
        _only_admins(client)
        async with self.db() as s:
            image = await store.remove(s, event_id)
        if image is None:
            return
        self.log.info("an event was deleted", event_id=event_id, by=client.user.telegram_id)
        await self.broadcast(type="delete-event", id=event_id)
        await self._forget_picture(image)

    async def _picture(self, draft: Draft) -> str:
        if draft.address and not self.owns_image(draft.address):
            raise AppError("The picture is no upload of this app", code="invalid")
        if not draft.picture:
            return draft.address
        try:
            return await self.save_image(draft.picture)
        except BadImage as error:
            raise AppError(f"The picture cannot be taken: {error}", code="invalid") from None
        except (MediaFull, OSError) as error:
            self.log.warning("a picture was not stored", reason=str(error))
            raise AppError("Pictures cannot be stored now", code="media") from None

    async def _forget_picture(self, address: str) -> None:
        try:
            await self.remove_image(address)
        except OSError as error:  # the event goes all the same
            self.log.warning("a picture was not removed", address=address, reason=str(error))

    # When an event starts

    def server_tasks(self) -> Iterable[Any]:
        """Look for events that start and for pictures without one, in one bot worker of the whole deployment."""
        return [partial(announcing.run, self), partial(pictures.run, self)]

    # The bot

    @App.bot_command
    async def start(self, args: str, event: "Message") -> Any:
        """Open the events."""
        from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo  # only bot workers pay for it

        open_ = InlineKeyboardButton(text="View events", web_app=WebAppInfo(url=self.settings.url))
        share = InlineKeyboardButton(text="Share an event", switch_inline_query="")
        text = "Here you find events, sign up, and hear from me when they start."
        return event.answer(text, reply_markup=InlineKeyboardMarkup(inline_keyboard=[[open_], [share]]))

    @App.bot_command
    async def events(self, args: str, event: "Message") -> Any:
        """List the next events."""
        async with self.db() as s:
            coming = await store.found(s, args, time.time(), 10)
        lines = [f"<b>{escape(one.title)}</b>\n{sharing.when(one)}" for one in coming]
        return event.answer("\n\n".join(lines) or "There are no events now.", parse_mode="HTML")

    async def on_telegram_inline(self, event: "InlineQuery") -> Any:
        """Answer with the one event a page shares (`event:7`), else with those that fit the text."""
        from aiogram.types import InlineQueryResultArticle, InlineQueryResultUnion

        text = event.query.strip()
        which = text.removeprefix("event:")
        async with self.db() as s:
            if which != text and which.isdecimal() and len(which) < 10:
                one = await s.get(Event, int(which))
                found = [one] if one else []
            else:
                found = await store.found(s, text, time.time(), sharing.MOST_RESULTS)
        username = self.telegram_me.username if self.telegram_me else ""
        links = {one.id: sharing.link(username, self.settings.short_name, one.id) for one in found}
        articles = [sharing.article(one, links[one.id]) for one in found]
        results: list[InlineQueryResultUnion] = [InlineQueryResultArticle.model_validate(one) for one in articles]
        return event.answer(results, cache_time=10)


def _only_admins(client: Client) -> None:
    if not client.user.is_admin:
        raise AppError("You are not an admin", code="admin")
