"""Init data signed with an app's token, as Telegram hands it to the app's page."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from mini_apps.cli.choose import for_clients, one_app
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.testing import sign_init_data
from shared.settings import AppSettings, Settings

VERSION = "9.1"
"""The Bot API version of mini apps that the page is told."""


def launch_string(
    named: Path | None, port: int, app: str, user: int, name: str, start_param: str, *, as_url: bool
) -> str:
    """Make init data, or the page's address with it.

    Args:
        named: the settings file of the command line.
        port: of a running `dev`.
        app: the app's name; empty for the only one.
        user: Telegram id.
        name: first name.
        start_param: of the launch; empty for none.
        as_url: give the page's address with the data in its fragment.

    Raises:
        Problem: there is no such app, or it has no token, or no page.
    """
    settings = for_clients(named, port, app)
    chosen = one_app(settings, app)
    data = sign(chosen, user, name, start_param)
    if not as_url:
        return data
    fragment = f"tgWebAppData={quote(data, safe='')}&tgWebAppVersion={VERSION}&tgWebAppPlatform=web"
    return f"{page_url(settings, chosen)}#{fragment}"


def sign(app: AppSettings, user: int, name: str, start_param: str = "") -> str:
    """Sign init data for a user.

    Raises:
        Problem: the app's token is not in these settings.
    """
    if app.bot_token is None:
        raise Problem(f"signing needs apps.{app.name}.bot-token in the settings", EXIT_USAGE)
    fields: dict[str, Any] = {"user": {"id": user, "first_name": name, "language_code": "en"}}
    if start_param:
        fields["start_param"] = start_param
    return sign_init_data(app.bot_token.get_secret_value(), **fields)


def page_url(settings: Settings, app: AppSettings) -> str:
    """Tell where the app's page is: its url, else below the gateway of these settings."""
    gateway = settings.gateway
    return app.url or f"http://{gateway.host}:{gateway.port}/apps/{app.name}/"
