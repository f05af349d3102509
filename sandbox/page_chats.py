"""What the page and the tests do as a user: write, press, open, pay, and read what the chat shows. JSON over HTTP."""

from typing import get_args

from aiohttp import web

from sandbox import actions, payments
from sandbox.errors import ActionError, ApiError
from sandbox.fetching import fetch
from sandbox.groups import find_group, group_json
from sandbox.inline_results import media_address
from sandbox.launch import Source, launch_url
from sandbox.methods_bot import commands_for, menu_button_for
from sandbox.model import Json
from sandbox.page_http import USER, Desk, Step
from sandbox.page_routes import PageRoutes
from sandbox.reactions import counted
from sandbox.till import Invoice


class PageChats:
    """Handlers of what users do in their chats.

    Args:
        desk: reads requests and answers them.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world

    def add_routes(self, routes: PageRoutes) -> None:
        """Serve what is below `/sandbox/api/bots/{bot}/users/{user}`."""
        routes.add_get(f"{USER}/chat", self._desk.answering(self.chat))
        for name, action in (
            ("messages", self._send),
            ("edit", self._edit),
            ("delete", self._delete),
            ("callback", self._press),
            ("inline", self._inline),
            ("block", self._block),
            ("launch", self._launch),
            ("web_app_data", self._web_app_data),
            ("invoice", self._invoice),
            ("pay", self._pay),
            ("share", self._share),
            ("write_access", self._write_access),
        ):
            routes.add_post(f"{USER}/{name}", self._desk.step(action))
        routes.add_post(f"{USER}/choose", self._desk.answering(self._choose))

    async def chat(self, request: web.Request) -> Json:
        """Return a chat as its user sees it: the private one, or with `?chat_id=` a group."""
        bot, user = self._desk.bot(request), self._desk.user(request)
        wanted = request.query.get("chat_id", "0")
        if not wanted.removeprefix("-").isdigit():
            raise ActionError("chat_id must be an integer")
        # A look at a chat does not make the bot know the user.
        if int(wanted) < 0:
            shown = find_group(bot, int(wanted))
        else:
            shown = bot.dialogs.get(user.id) or self._world.preview(user)
        result: Json = {
            "messages": [message.to_api() for message in shown.messages],
            "keyboard": shown.keyboard,
            "started": shown.started,
            "blocked": shown.blocked,
            "commands": commands_for(bot, shown, user),
            "menu_button": menu_button_for(bot, shown),
            "pinned": shown.pinned[-1:],
            "reactions": {str(id_): counted(shown, id_) for id_ in shown.reactions},
        }
        return {**result, "group": group_json(bot, shown)} if shown.is_group else result

    def _send(self, step: Step) -> Json:
        reply_to = step.integer("reply_to", 0)
        return actions.send_text(
            self._world, step.bot, step.user, step.text("text"), step.now, chat=step.chat, reply_to=reply_to
        ).to_api()

    def _edit(self, step: Step) -> Json:
        id_, text = step.integer("message_id"), step.text("text")
        return actions.edit_text(self._world, step.bot, step.user, id_, text, step.now, chat=step.chat).to_api()

    def _delete(self, step: Step) -> Json:
        actions.delete_own(self._world, step.bot, step.user, step.integer("message_id"), chat=step.chat)
        return {"deleted": True}

    def _press(self, step: Step) -> Json:
        id_, data = step.integer("message_id"), step.text("data")
        query_id = actions.press_button(self._world, step.bot, step.user, id_, data, step.now, chat=step.chat)
        return {"query_id": query_id}

    def _inline(self, step: Step) -> Json:
        query, offset = step.text("query"), step.text("offset")
        query_id = actions.send_inline_query(self._world, step.bot, step.user, query, offset, step.now, chat=step.chat)
        return {"query_id": query_id}

    async def _choose(self, request: web.Request) -> Json:
        """Send an inline result; a file that it names by address is fetched first."""
        step = await self._desk.read_step(request)
        query_id, result_id = step.text("query_id"), step.text("result_id")
        address = media_address(actions.chosen_result(step.bot, query_id, result_id, step.now))
        try:
            files = await fetch([address] if address else [])
        except ApiError as error:
            raise ActionError(f"{address} cannot be fetched") from error
        chosen = actions.choose_result(self._world, step.bot, step.user, query_id, result_id, step.now, files)
        return chosen.to_api()

    def _block(self, step: Step) -> Json:
        blocked = step.fields.get("blocked", True)
        if not isinstance(blocked, bool):
            raise ActionError("blocked must be true or false")
        actions.set_blocked(self._world, step.bot, step.user, blocked=blocked, now=step.now)
        return {"blocked": blocked}

    def _launch(self, step: Step) -> Json:
        start_param = step.text("start_param")
        source = step.text("source") or ("direct" if start_param else "menu")
        if source not in get_args(Source):
            raise ActionError(f"source must be one of {', '.join(get_args(Source))}")
        url = launch_url(
            self._world,
            step.bot,
            step.user,
            now=step.now,
            source=source,  # type: ignore[arg-type]  # checked against the Literal just above
            start_param=start_param,
            url=step.text("url"),
            theme=step.text("theme", "light"),
            chat_instance_=step.text("chat_instance"),
            chat=step.chat,
        )
        return {"url": url}

    def _web_app_data(self, step: Step) -> Json:
        button, data = step.text("button_text"), step.text("data")
        return actions.send_web_app_data(self._world, step.bot, step.user, button, data, step.now).to_api()

    def _invoice(self, step: Step) -> Json:
        return self._wanted(step).shown()

    def _pay(self, step: Step) -> Json:
        invoice = self._wanted(step)
        return {"query_id": payments.start_checkout(self._world, step.bot, step.user, invoice, step.now)}

    def _wanted(self, step: Step) -> Invoice:
        id_ = step.integer("message_id", 0)
        return payments.invoice_for(step.bot, step.user, step.text("slug"), id_, step.now, chat=step.chat)

    def _share(self, step: Step) -> Json:
        id_ = step.text("id")
        return actions.share_prepared(self._world, step.bot, step.user, id_, step.now, chat=step.chat).to_api()

    def _write_access(self, step: Step) -> Json:
        actions.allow_writing(self._world, step.bot, step.user, step.now)
        return {"allowed": True}
