"""Fixtures of all tests: a real Valkey per test process, and a key prefix of its own for each test."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mini_apps.embedded import EmbeddedValkey
from shared.broker import Broker
from shared.settings import load

_numbers = itertools.count(1)


# At a desk each run tries new examples; in CI the same ones, so that a red run is about the change.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


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
