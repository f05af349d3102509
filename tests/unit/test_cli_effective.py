"""The settings that `dev` makes for its children."""

from pathlib import Path
from typing import Any

import pytest

from mini_apps.cli.dev.command import Request, read_settings
from mini_apps.cli.dev.effective import Wish, effective, replaces_real_tokens, sandbox_config
from mini_apps.cli.dev.ports import Ports
from mini_apps.cli.dev.target import Target, app_name, find_target
from mini_apps.cli.problem import Problem
from shared.settings import Settings, load

PORTS = Ports(9000, 9001, 9002, 9003, 9004, 9005)
REAL = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "mini-apps.toml"
    file.write_text(text)
    return load(file, {})


def made(tmp_path: Path, text: str, **wish: Any) -> dict[str, Any]:
    return effective(read(tmp_path, text), Wish(PORTS, **wish))


def again(tmp_path: Path, found: dict[str, Any]) -> Settings:
    """Load what was made, as a child does."""
    import json

    file = tmp_path / "effective.json"
    file.write_text(json.dumps(found))
    return load(file, {})


def test_everything_stays_on_this_machine(tmp_path: Path) -> None:
    settings = again(
        tmp_path,
        made(
            tmp_path,
            f"""
        [redis]
        url = "redis://production:6379/0"
        [gateway]
        public-url = "https://example.com"
        [ws]
        public-url = "wss://example.com/ws"
        allowed-origins = ["https://example.com"]
        [telegram]
        ingest = "webhook"
        [apps.shop]
        class = "app:Shop"
        bot-token = "{REAL}"
        verify = "hash"
        color = "red"
    """,
        ),
    )
    assert settings.redis.url.get_secret_value() == "redis://127.0.0.1:9004/0"
    assert (settings.gateway.port, settings.gateway.public_url) == (9000, "")
    assert settings.gateway.sandbox_url == "http://127.0.0.1:9003/"
    assert (settings.ws.public_url, settings.ws.allowed_origins) == ("", [])
    shop = settings.apps["shop"]
    assert shop.api_server == "http://127.0.0.1:9003"
    assert shop.ingest == "polling"
    assert shop.url == "http://127.0.0.1:9000/apps/shop/"
    assert shop.color == "red"


def test_real_tokens_never_reach_the_sandbox(tmp_path: Path) -> None:
    text = f"""
        [apps.shop]
        class = "app:Shop"
        bot-token = "{REAL}"
        [apps.game]
        class = "game:Game"
        bot-token = "42:sandbox-game"
    """
    found = made(tmp_path, text)
    assert REAL not in str(found)
    bots = sandbox_config(found, Wish(PORTS))["bots"]
    assert {bot["name"]: bot["token"] for bot in bots} == {"shop": "43:sandbox-shop", "game": "42:sandbox-game"}
    assert replaces_real_tokens(read(tmp_path, text))
    assert not replaces_real_tokens(read(tmp_path, text.replace(REAL, "7:sandbox-shop")))


def test_without_the_sandbox_the_token_and_addresses_stay(tmp_path: Path) -> None:
    text = f"""
        [gateway]
        public-url = "https://example.com"
        [apps.shop]
        class = "app:Shop"
        bot-token = "{REAL}"
    """
    shop = again(tmp_path, made(tmp_path, text, sandbox=False)).apps["shop"]
    assert shop.bot_token is not None
    assert shop.bot_token.get_secret_value() == REAL
    assert (shop.api_server, shop.url) == ("https://api.telegram.org", "https://example.com/apps/shop/")
    with pytest.raises(Problem, match="shop needs its bot-token"):
        made(tmp_path, '[apps.shop]\nclass = "app:Shop"', sandbox=False)


def test_relative_paths_keep_their_meaning(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        """
        [database]
        url = "sqlite+aiosqlite:///db/mine.sqlite"
        [apps.shop]
        class = "app:Shop"
        pages = "pages"
    """,
    )
    assert found["apps"]["shop"]["pages"] == str(tmp_path / "pages")
    assert found["gateway"]["media"] == str(tmp_path / "media")
    assert found["database"]["url"] == f"sqlite+aiosqlite:///{tmp_path}/db/mine.sqlite"


def test_without_a_database_in_the_settings_it_is_a_private_one(tmp_path: Path) -> None:
    found = made(tmp_path, '[apps.shop]\nclass = "app:Shop"')
    assert found["database"]["url"] == "sqlite+aiosqlite:///mini-apps.sqlite"


def test_an_app_of_the_command_line_needs_no_settings(tmp_path: Path) -> None:
    target = Target("app:Shop", "shop", tmp_path, tmp_path / "pages")
    found = effective(Settings(), Wish(PORTS, target=target))
    assert found["apps"]["shop"]["bot-token"] == "42:sandbox-shop"
    assert found["apps"]["shop"]["pages"] == str(tmp_path / "pages")


def test_an_app_of_the_command_line_has_its_settings_if_there_are_some(tmp_path: Path) -> None:
    text = """
        [apps.corner-shop]
        class = "app:Shop"
        admins = [7]
        [apps.game]
        class = "game:Game"
    """
    found = made(tmp_path, text, target=Target("app:Shop", "shop", tmp_path, None))
    assert list(found["apps"]) == ["corner-shop"]
    assert found["apps"]["corner-shop"]["admins"] == [7]


def test_no_app_is_a_clear_line(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="mini-apps new NAME"):
        made(tmp_path, "[log]\n")


@pytest.mark.parametrize(
    ("class_path", "name"),
    [
        ("app:Counter", "counter"),
        ("app:CounterApp", "counter"),
        ("app:App", "app"),
        ("examples.counter.app:Counter", "counter"),
        ("examples.tic_tac_toe.app:Game", "tic_tac_toe"),
    ],
)
def test_names(class_path: str, name: str) -> None:
    assert app_name(class_path) == name


def test_without_a_file_the_environment_holds_for_the_class_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = Request("examples.counter.app:Counter", 0, None, reload=False, sandbox=True, verbose=False, settings=None)
    wish = Wish(PORTS, target=find_target("examples.counter.app:Counter"))
    bare = effective(read_settings(words), wish)
    assert list(bare["apps"]) == ["counter"]
    assert bare["apps"]["counter"]["pages"].endswith("/examples/counter/pages")
    assert bare["apps"]["counter"]["admins"] == [1001], "Ada, where nobody is named"
    assert bare["gateway"]["media"] == "media", "beside the children's settings, and gone with them"
    monkeypatch.setenv("MINI_APPS__DATABASE__URL", "postgresql+asyncpg://db/events")
    monkeypatch.setenv("MINI_APPS__APPS__COUNTER__ADMINS", "7")
    found = effective(read_settings(words), wish)
    assert found["database"]["url"] == "postgresql+asyncpg://db/events"
    assert found["apps"]["counter"]["admins"] == [7]
    assert found["apps"]["counter"]["pages"] == bare["apps"]["counter"]["pages"]
