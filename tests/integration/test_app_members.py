"""Every member of the original library's reference page: it exists, is called as there, and does what it says."""

import enum
import inspect
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import mini_apps.app
from app_mesh import Link, bound, make_settings, open_mesh
from mini_apps import Client, User
from mini_apps.app import App, BotStatus, MetaBot, SettingsListUserFilter, UserFilter
from mini_apps.embedded import EmbeddedValkey
from mini_apps.mesh import Mesh
from mini_apps.testing import sign_init_data
from shared.log import LogSource
from support import TOKEN

# The page's members as they stand there, event types left out. `async` only where the page has it; an override may
# be either.
APP = {
    "decode_telegram_data": ("", "data"),
    "disconnect": ("async", "client"),
    "get_user": ("", "message"),
    "handle_message": ("async", "client type data"),
    "login": ("async", "client message"),
    "on_client_authenticated": ("async", "client"),
    "on_client_disconnected": ("async", "client"),
    "on_server_start": ("", ""),
    "on_telegram_callback": ("async", "event"),
    "on_telegram_callback_raw": ("async", "event"),
    "on_telegram_command": ("async", "trigger args event"),
    "on_telegram_connected": ("async", ""),
    "on_telegram_exception": ("async", "exception"),
    "on_telegram_inline": ("async", "event"),
    "on_telegram_inline_raw": ("async", "event"),
    "on_telegram_message": ("async", "event"),
    "on_telegram_message_raw": ("async", "event"),
    "register_models": ("", ""),
    "run_bot": ("async", ""),
    "send_telegram_commands": ("async", ""),
    "server_tasks": ("", ""),
}


@pytest.fixture
async def mesh(tmp_path: Path, valkey: EmbeddedValkey, prefix: str) -> AsyncIterator[Mesh]:
    settings = make_settings(tmp_path, valkey.url, prefix, counter={})
    async with open_mesh(settings) as opened:
        yield opened


@pytest.mark.parametrize("name", APP)
def test_signature(name: str) -> None:
    kind, parameters = APP[name]
    member = inspect.getattr_static(App, name)
    assert inspect.getdoc(member), "documented"
    assert list(inspect.signature(member).parameters) == ["self", *parameters.split()]
    if kind:
        assert inspect.iscoroutinefunction(member)


def test_classes() -> None:
    assert issubclass(App, LogSource)
    assert type(App) is MetaBot
    assert issubclass(MetaBot, type)
    assert list(inspect.signature(App).parameters) == ["settings", "name"]
    assert inspect.signature(App).parameters["name"].default is None
    assert isinstance(inspect.getattr_static(App, "bot_command"), staticmethod)
    assert issubclass(BotStatus, enum.Enum)
    assert [status.name for status in BotStatus] == [
        "Disconnected", "Crashed", "Offline", "Starting", "StartFlood", "Running",
    ]  # fmt: skip
    assert BotStatus(BotStatus.Running.value) is BotStatus.Running
    assert issubclass(SettingsListUserFilter, UserFilter)
    assert UserFilter.__bases__ == (object,)
    assert list(inspect.signature(SettingsListUserFilter).parameters) == ["banned", "admins"]
    assert list(inspect.signature(UserFilter.filter_user).parameters) == ["self", "user"]
    assert list(inspect.signature(UserFilter.filter_telegram_id).parameters) == ["self", "telegram_id"]
    assert set(mini_apps.app.__all__) == {"App", "BotStatus", "MetaBot", "SettingsListUserFilter", "UserFilter"}


def test_filters() -> None:
    lists = SettingsListUserFilter(banned=[13], admins=[7])
    for telegram_id, is_admin in ((7, True), (8, False)):
        user = User(telegram_id=telegram_id, name="", is_admin=False)
        assert lists.filter_user(user) is user
        assert user.is_admin is is_admin
    assert lists.filter_user(User(telegram_id=13, name="", is_admin=False)) is None
    assert not lists.filter_telegram_id(13)
    assert lists.filter_telegram_id(8)
    assert UserFilter().filter_telegram_id(13)


class Sync(App):
    """Every hook sync where the page has it async, and the other way round."""

    def __init__(self, settings: Any, name: str | None = None) -> None:
        super().__init__(settings, name)
        self.order: list[str] = []

    async def get_user(self, message: dict[str, Any]) -> User | None:
        self.order.append("get_user")
        return await super().get_user(message)

    def on_client_disconnected(self, client: Client) -> None:  # type: ignore[override]  # hooks may be sync
        self.order.append("on_client_disconnected")

    def on_telegram_command(self, trigger: str, args: str, event: Any) -> Any:  # type: ignore[override]  # the same
        self.order.append(f"command {trigger} {args}")
        return trigger == "mine"

    def on_telegram_message(self, event: Any) -> None:  # type: ignore[override]  # the same
        self.order.append("on_telegram_message")

    def on_telegram_callback(self, event: Any) -> None:  # type: ignore[override]  # the same
        self.order.append("on_telegram_callback")
        raise ValueError("pressed")

    def on_telegram_inline(self, event: Any) -> None:  # type: ignore[override]  # the same
        self.order.append("on_telegram_inline")

    def on_telegram_exception(self, exception: Exception) -> bool:  # type: ignore[override]  # the same
        self.order.append(str(exception))
        return True


class Event:
    """As much of an event as the raw hooks look at."""

    caption = None
    from_user = None

    def __init__(self, text: str | None = None) -> None:
        self.text = text


async def test_client_members_in_their_order(mesh: Mesh) -> None:
    app = await bound(Sync, mesh, "counter")
    assert isinstance(app, Sync)
    client = Client("c1", app, Link())
    await app.login(client, {"data": sign_init_data(TOKEN, user={"id": 1, "first_name": "A"})})
    await app.on_client_authenticated(client)
    assert await app.handle_message(client, "click", {"type": "click"}) is None
    await app.disconnect(client)
    assert app.order == ["get_user", "on_client_disconnected"]


async def test_telegram_members_in_their_order(mesh: Mesh) -> None:
    app = await bound(Sync, mesh, "counter")
    assert isinstance(app, Sync)
    await app.on_telegram_message_raw(Event("/mine  a"))  # type: ignore[arg-type]  # what it looks at
    await app.on_telegram_message_raw(Event("/other"))  # type: ignore[arg-type]  # the same
    await app.on_telegram_callback_raw(Event())  # type: ignore[arg-type]  # the same
    await app.on_telegram_inline_raw(Event())  # type: ignore[arg-type]  # the same
    assert app.order == [
        "command mine a", "command other ", "on_telegram_message",
        "on_telegram_callback", "pressed", "on_telegram_inline",
    ]  # fmt: skip


async def test_defaults(mesh: Mesh) -> None:
    app = await bound(App, mesh, "counter")
    assert tuple(app.server_tasks()) == ()
    assert app.on_server_start() is None
    await app.on_telegram_connected()
    assert await app.on_telegram_exception(ValueError("seen")) is False
    assert not await app.on_subscribe(Client("c", app, Link()), "room")
    assert app.decode_telegram_data("hash=0") is None
    data = app.decode_telegram_data(sign_init_data(TOKEN, user={"id": 5}, auth_date=int(time.time())))
    assert data is not None
    assert data["user"] == {"id": 5}
    with pytest.raises(ValueError, match="pressed on"):
        await Raising(mesh.settings.apps["counter"]).on_telegram_message_raw(Event("x"))  # type: ignore[arg-type]  # the same


class Raising(App):
    async def on_telegram_message(self, event: Any) -> None:
        raise ValueError("pressed on")
