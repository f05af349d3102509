"""The pytest plugin, installed with the package: fixtures for tests of mini apps.

Only the Valkey process lives as long as the session; everything else belongs to the test and its event loop, so that
any mode of pytest-asyncio does, and `asyncio.run` too.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mini_apps.app import App
    from mini_apps.embedded import EmbeddedValkey
    from mini_apps.testing.harness import MiniAppTest


@pytest.fixture(scope="session")
def mini_apps_valkey() -> "Iterator[EmbeddedValkey]":
    """The Valkey that all deployments of the session share, and every service loaded: aiogram takes seconds once."""
    from mini_apps.testing import services, valkey  # noqa: PLC0415 - who does not use it must not load it

    services.load_services()
    yield valkey.shared_valkey()
    valkey.stop_shared_valkey()


@pytest.fixture
def mini_app_test(mini_apps_valkey: "EmbeddedValkey") -> "Callable[..., MiniAppTest]":
    """Give what makes deployments on that Valkey: `async with` the class, called as `MiniAppTest` is."""
    from mini_apps.testing.harness import MiniAppTest  # noqa: PLC0415 - as above

    def make(app_class: "type[App]", **options: Any) -> MiniAppTest:
        return MiniAppTest(app_class, **{"redis": mini_apps_valkey.url, **options})

    return make
