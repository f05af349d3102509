"""`MiniAppTest`: a deployment under test, with people and pages."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mini_apps.testing.bot import BotUnderTest
from mini_apps.testing.deployment import Deployment
from mini_apps.testing.page import Page
from mini_apps.testing.person import Person
from mini_apps.testing.settings import Layout

if TYPE_CHECKING:
    from mini_apps.app import App


class MiniAppTest(Deployment):
    """One deployment of an app, while its block runs.

        async with MiniAppTest(Counter, nodes=2) as t:
            ada = await t.open("ada")

    Args:
        app_class: the app under test.
        settings: as in a settings file, section by section, on top of what a test needs; the section `app` holds the
            keys of the app under test, the author's own too.
        name: of the app; else its class's in small letters.
        nodes: WebSocket nodes.
        redis: URL of a server to use in place of the embedded one; its keys get a prefix of their own.

    Attributes:
        bot: what the bot did.

    Raises:
        SettingsError: a section of the settings is no table.
    """

    def __init__(
        self,
        app_class: "type[App]",
        *,
        settings: Mapping[str, Any] | None = None,
        name: str = "",
        nodes: int = 1,
        redis: str = "",
    ) -> None:
        super().__init__(Layout(app_class, name, settings or {}), nodes, redis)
        self.bot = BotUnderTest(self)
        self._pages: list[Page] = []
        self._people: dict[str, Person] = {}

    async def _end(self) -> None:
        await asyncio.gather(*(page.close() for page in self._pages))
        await super()._end()

    # People and pages.

    def user(self, name: str, /, **fields: Any) -> Person:
        """Return somebody with a phone; who is not known yet joins Telegram now.

        Args:
            name: their username; `ada` and `ben` are there from the start, with the ids 1001 and 1002.
            **fields: of a Telegram user, such as `first_name`, `language_code`, `is_premium`.
        """
        user = self.telegram.user(name, fields)
        if name not in self._people:
            self._people[name] = Person(self, user)
        return self._people[name]

    async def open(
        self, user: str = "ada", *, start_param: str = "", node: int | None = None, acks: bool = True
    ) -> Page:
        """Open the mini app as a user, and log in.

        Args:
            user: their name, see `user`.
            start_param: what follows `startapp=` in the link.
            node: number in `nodes` of the one to connect to; else the running ones in turn.
            acks: whether messages that ask for it are confirmed; false for a page that is open and not looked at.

        Raises:
            NotReceived: the login was refused; the text says why.
        """
        page = self.page(user, self.init_data(user, start_param=start_param), acks=acks)
        await page.connect(node)
        await page.login()
        return page

    async def refused(self, user: str, init_data: str) -> Page:
        """Try to log in with init data that the app must refuse, and return the page, closed by the node.

        Args:
            user: whose page, for errors.
            init_data: what it logs in with: `t.init_data("ada", age=100_000)` is too old, and what
                `sign_init_data("43:another", user={"id": 1001, "first_name": "Ada"})` makes is another bot's.

        Raises:
            AssertionError: it was let in.
        """
        page = self.page(user, init_data)
        await page.connect()
        await page.send(type="login", app=self.app.name, data=init_data)
        await page.closed()
        return page

    def page(self, user: str, init_data: str, *, acks: bool = True) -> Page:
        """Make a page that is not connected yet, for logins of a test's own.

        Args:
            user: whose, for errors.
            init_data: what it logs in with.
            acks: as for `open`.
        """
        page = Page(self, user, init_data, acks=acks)
        self._pages.append(page)
        return page

    def init_data(self, user: str, *, start_param: str = "", age: float = 0) -> str:
        """Return the init data that Telegram opens the mini app with.

        Args:
            user: their name, see `user`.
            start_param: what follows `startapp=` in the link.
            age: seconds since Telegram made it.
        """
        from sandbox.launch import launch_url  # noqa: PLC0415 - services are loaded late

        telegram, id = self.telegram, self.user(user).id
        world = telegram.runtime.world
        url = launch_url(
            world, telegram.bot, world.users[id], now=self.clock.time() - age,
            source="direct" if start_param else "menu", start_param=start_param,
        )  # fmt: skip
        return parse_qs(urlsplit(url).fragment)["tgWebAppData"][0]

    # Names, for errors.

    def chat_of(self, to: str | int) -> int:
        """Return the id of a chat: of a user by name, or as given."""
        return to if isinstance(to, int) else self.user(to).id

    def name_of(self, chat: int) -> str:
        """Return what a chat is called."""
        found = self.telegram.runtime.world.users.get(chat)
        return found.username if found is not None else str(chat)
