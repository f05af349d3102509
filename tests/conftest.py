"""Fixtures of all tests: a real Valkey per test process, and a key prefix of its own for each test."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

import forking
from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.settings import load

if TYPE_CHECKING:
    from ws_server.node import Node

_numbers = itertools.count(1)

forking.install()


# A busy machine is no failure.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# At a desk each run tries new examples; in CI the same ones, so that a red run is about the change.
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A real server for the whole test process; tests keep apart by prefix."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A durable server of this test alone, which it may kill and start again."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    with EmbeddedValkey(folder, durable=True) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A key prefix nobody else uses."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
async def broker(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[Broker]:
    """An open broker with a prefix of its own."""
    environ = {"MINI_APPS__REDIS__URL": valkey.url, "MINI_APPS__REDIS__PREFIX": prefix}
    path = tmp_path / "broker.toml"
    path.write_text("")
    async with Broker(load(path, environ).redis) as opened:
        yield opened


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> "list[Node]":
    """Every WebSocket node of the test, to look inside."""
    from ws_server.node import Node

    made: list[Node] = []
    init = Node.__init__

    def remember(self: Node, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(Node, "__init__", remember)
    return made
