"""What the page and the tests set on a bot: limits, faults, privacy, a crowd. JSON over HTTP."""

from dataclasses import asdict

from aiohttp import web

from sandbox.crowd import MAX_CROWD, Crowd
from sandbox.errors import ActionError
from sandbox.faults import parse as parse_fault
from sandbox.model import Json
from sandbox.page_api import bot_json
from sandbox.page_http import BOT, Desk, read_body
from sandbox.page_routes import PageRoutes


class PageBots:
    """Handlers of the bots' knobs.

    Args:
        desk: reads requests and answers them.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve what is below `/sandbox/api/bots/{bot}` and no user's."""
        answering = self._desk.answering
        routes.add_post(f"{BOT}/limits", answering(self.set_limits))
        routes.add_post(f"{BOT}/privacy", answering(self.set_privacy))
        routes.add_get(f"{BOT}/counts", answering(self.counts))
        routes.add_get(f"{BOT}/faults", answering(self.faults))
        routes.add_post(f"{BOT}/faults", answering(self.add_fault))
        routes.add_delete(f"{BOT}/faults", answering(self.clear_faults))
        routes.add_get(f"{BOT}/crowd", answering(self.crowd))
        routes.add_post(f"{BOT}/crowd", answering(self.set_crowd))

    async def set_limits(self, request: web.Request) -> Json:
        """Switch Telegram's sending limits of a bot on or off."""
        bot = self._desk.bot(request)
        bot.limits.enabled = bool((await read_body(request)).get("enabled"))
        return bot_json(bot)

    async def set_privacy(self, request: web.Request) -> Json:
        """Let a bot hear everything in its groups, or only what is meant for it."""
        bot = self._desk.bot(request)
        bot.privacy = bool((await read_body(request)).get("enabled"))
        return bot_json(bot)

    async def counts(self, request: web.Request) -> Json:
        """Return how many calls a bot made, how many were refused, and by which limit."""
        bot = self._desk.bot(request)
        refused = {str(code): many for code, many in bot.refusals.items()}
        return {"calls": dict(bot.calls), "refused": refused, "limited": dict(bot.limits.refused)}

    async def faults(self, request: web.Request) -> Json:
        """Return what shall go wrong for a bot."""
        return {"faults": [asdict(fault) for fault in self._desk.bot(request).faults.rules]}

    async def add_fault(self, request: web.Request) -> Json:
        """Let something go wrong from now on; the body is a `Fault`."""
        self._desk.bot(request).faults.add(parse_fault(await read_body(request)))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> Json:
        """Let nothing go wrong any more."""
        self._desk.bot(request).faults.rules.clear()
        return await self.faults(request)

    async def crowd(self, request: web.Request) -> Json:
        """Return how many messages the people of a bot's crowd got."""
        crowd = self._desk.bot(request).crowd
        return {**crowd.summary(), "without": crowd.without()}

    async def set_crowd(self, request: web.Request) -> Json:
        """Put very many people before a bot: `first` id, `count`, `blocked_every`."""
        fields = await read_body(request)
        names = ("first", "count", "blocked_every")
        first, count, blocked = (fields.get(name, 0) for name in names)
        if not all(isinstance(value, int) and value >= 0 for value in (first, count, blocked)) or count > MAX_CROWD:
            raise ActionError(f"first, count and blocked_every are whole numbers, count at most {MAX_CROWD}")
        self._desk.bot(request).crowd = Crowd(first, count, blocked)
        return await self.crowd(request)
