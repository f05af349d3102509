"""What the page and the tests do with groups: make them, let people and the bot come and go. JSON over HTTP."""

from aiohttp import web

from sandbox import groups
from sandbox.errors import ActionError
from sandbox.invites import join
from sandbox.model import Json, Member, User
from sandbox.page_http import BOT, USER, Desk, Step
from sandbox.page_routes import PageRoutes

_STATUSES = ("administrator", "member", "left", "kicked")


class PageGroups:
    """Handlers of groups.

    Args:
        desk: reads requests and answers them.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve the groups of a bot, and what their members do to them."""
        routes.add_get(f"{BOT}/groups", self._desk.answering(self.groups))
        routes.add_post(f"{USER}/groups", self._desk.step(self._create))
        routes.add_post(f"{USER}/members", self._desk.step(self._set_member))
        routes.add_post(f"{USER}/join", self._desk.step(self._join))
        routes.add_post(f"{USER}/title", self._desk.step(self._rename))
        routes.add_post(f"{USER}/upgrade", self._desk.step(self._upgrade))

    async def groups(self, request: web.Request) -> Json:
        """Return the groups of a bot, without those that became supergroups."""
        bot = self._desk.bot(request)
        found = [dialog for dialog in bot.dialogs.values() if dialog.is_group and not dialog.moved_to]
        return {"groups": [groups.group_json(bot, dialog) for dialog in found]}

    def _create(self, step: Step) -> Json:
        kind = step.text("type", "supergroup")
        members = step.fields.get("members", [])
        if kind not in groups.FIRST_IDS:
            raise ActionError("type must be group or supergroup")
        if not isinstance(members, list):
            raise ActionError("members must be a list of user ids")
        people = [self._desk.person(str(id_)) for id_ in members]
        dialog = groups.create_group(
            self._world,
            step.bot,
            step.user,
            step.text("title"),
            kind,  # type: ignore[arg-type]  # checked against the Literal's values just above
            people,
            step.now,
        )
        return groups.group_json(step.bot, dialog)

    def _set_member(self, step: Step) -> Json:
        """Let somebody come, go or rise: `user_id` (the bot's for the bot, one's own to leave or join), `status`."""
        dialog = groups.find_group(step.bot, step.chat)
        status, id_ = step.text("status"), step.integer("user_id")
        if status not in _STATUSES:
            raise ActionError(f"status must be one of {', '.join(_STATUSES)}")
        if id_ != step.user.id and not dialog.has(step.user):
            raise ActionError(f"{step.user.first_name} is not in this group", status=403)
        user = step.bot.user if id_ == step.bot.id else self._desk.person(str(id_))
        self._world.require_room(step.bot)
        groups.set_member(self._world, step.bot, dialog, step.user, _member(user, status), step.now)
        return groups.group_json(step.bot, dialog)

    def _join(self, step: Step) -> Json:
        dialog = join(self._world, step.bot, step.user, step.text("link").rpartition("+")[2], step.now)
        return groups.group_json(step.bot, dialog)

    def _rename(self, step: Step) -> Json:
        dialog = groups.find_group(step.bot, step.chat)
        title = step.text("title").strip()
        if not 0 < len(title) <= groups.MAX_TITLE:
            raise ActionError(f"a group's title has 1 to {groups.MAX_TITLE} characters")
        groups.rename(self._world, step.bot, dialog, step.user, title, step.now)
        return groups.group_json(step.bot, dialog)

    def _upgrade(self, step: Step) -> Json:
        dialog = groups.find_group(step.bot, step.chat)
        return groups.group_json(step.bot, groups.upgrade(self._world, step.bot, dialog, step.user, step.now))


def _member(user: User, status: str) -> Member:
    return groups.admin(user) if status == "administrator" else Member(user, status)
