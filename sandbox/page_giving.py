"""What the page and the tests give as a user: files, votes, reactions, a number, other people. JSON over HTTP."""

from aiohttp import web

from mini_apps.testing import sign_init_data
from sandbox import giving
from sandbox.errors import ActionError
from sandbox.files import Sent
from sandbox.groups import find_group
from sandbox.model import Json
from sandbox.page_http import USER, Desk, Step
from sandbox.page_routes import PageRoutes


class PageGiving:
    """Handlers of what users give.

    Args:
        desk: reads requests and answers them.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve what is below `/sandbox/api/bots/{bot}/users/{user}`."""
        routes.add_post(f"{USER}/files", self._desk.answering(self._file))
        for name, action in (
            ("vote", self._vote),
            ("react", self._react),
            ("contact", self._contact),
            ("location", self._location),
            ("share_users", self._share_users),
            ("share_chat", self._share_chat),
        ):
            routes.add_post(f"{USER}/{name}", self._desk.step(action))

    async def _file(self, request: web.Request) -> Json:
        """Send the body as a file: `?kind=photo&name=a.png&caption=…&chat_id=…`."""
        if request.content_type != "application/octet-stream":  # as with JSON: no other site can post it
            raise ActionError("send the file with Content-Type: application/octet-stream", status=415)
        bot, user, query = self._desk.bot(request), self._desk.user(request), request.query
        chat = query.get("chat_id", "0")
        if not chat.removeprefix("-").isdigit():
            raise ActionError("chat_id must be an integer")
        sent = Sent(query.get("name", "file"), await request.read())
        kind, caption, now = query.get("kind", "document"), query.get("caption", ""), self._desk.runtime.clock()
        return giving.send_file(self._world, bot, user, kind, sent, caption, now, chat=int(chat)).to_api()

    def _vote(self, step: Step) -> Json:
        options = step.fields.get("options", [])
        if not isinstance(options, list) or not all(isinstance(option, int) for option in options):
            raise ActionError("options must be a list of numbers")
        id_ = step.integer("message_id")
        giving.vote(self._world, step.bot, step.user, id_, options, step.now, chat=step.chat)
        return {"options": options}

    def _react(self, step: Step) -> Json:
        id_, emoji = step.integer("message_id"), step.text("emoji")
        giving.react(self._world, step.bot, step.user, id_, emoji, step.now, chat=step.chat)
        return {"emoji": emoji}

    def _contact(self, step: Step) -> Json:
        """Send one's number to the bot; `response` is what a mini app gets that asked for it, signed."""
        giving.share_contact(self._world, step.bot, step.user, step.now)
        contact = giving.contact(step.user)
        response = sign_init_data(step.bot.config.token, contact=contact, auth_date=int(step.now))
        return {"contact": contact, "response": response}

    def _location(self, step: Step) -> Json:
        latitude, longitude = step.fields.get("latitude", 52.52), step.fields.get("longitude", 13.405)
        if not all(isinstance(value, int | float) for value in (latitude, longitude)):
            raise ActionError("latitude and longitude must be numbers")
        return giving.share_location(self._world, step.bot, step.user, latitude, longitude, step.now).to_api()

    def _share_users(self, step: Step) -> Json:
        ids = step.fields.get("user_ids", [])
        if not isinstance(ids, list) or not ids:
            raise ActionError("user_ids must be a list of ids")
        people = [self._desk.person(str(id_)) for id_ in ids]
        return giving.share_users(self._world, step.bot, step.user, step.text("button_text"), people, step.now).to_api()

    def _share_chat(self, step: Step) -> Json:
        chat = find_group(step.bot, step.integer("shared_chat_id"))
        return giving.share_chat(self._world, step.bot, step.user, step.text("button_text"), chat, step.now).to_api()
