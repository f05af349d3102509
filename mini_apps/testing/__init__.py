"""What tests of a mini app import: a whole deployment in the test's own event loop, and a local Telegram.

    async with MiniAppTest(App) as t:
        ada = await t.open("ada")
        await ada.send(type="click")
        await ada.receive("clicks-updated")

The services are loaded when a deployment starts, so importing this costs little.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mini_apps.testing.init_data import sign_init_data

if TYPE_CHECKING:
    from mini_apps.testing.harness import MiniAppTest
    from mini_apps.testing.messages import BotMessage
    from mini_apps.testing.page import Page
    from mini_apps.testing.person import Person

__all__ = ["BotMessage", "MiniAppTest", "Page", "Person", "sign_init_data"]

_HOME = {
    "BotMessage": "mini_apps.testing.messages",
    "MiniAppTest": "mini_apps.testing.harness",
    "Page": "mini_apps.testing.page",
    "Person": "mini_apps.testing.person",
}


def __getattr__(name: str) -> Any:
    """Load the module of a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'mini_apps.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value
