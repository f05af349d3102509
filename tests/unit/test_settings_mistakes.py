"""Every mistake in settings is told at once, with its place and what to write instead, and never with a secret."""

import os
from pathlib import Path

import pytest

from shared.settings import SettingsError, load

TOKEN = "123456:AAbb_cc-dd"


def mistakes(folder: Path, text: str, environ: dict[str, str] | None = None, name: str = "mini-apps.toml") -> list[str]:
    """Load settings that are wrong and give the mistakes, the file's path shortened to its name."""
    path = folder / name
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {})
    return [line.replace(f"{folder}{os.sep}", "") for line in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[ws]\nprot = 1", "ws.prot is not a setting; did you mean ws.port?"),
        ("[ws]\nmax_conections = 1", "ws.max-conections is not a setting; did you mean ws.max-connections?"),
        ("[ws]\nPort = 1", "ws.Port is not a setting; did you mean ws.port?"),
        ("[gateway]\nlanes = 1", "gateway.lanes is not a setting; lanes belongs below [bot]"),
        ("[log]\nzzz = 1", "log.zzz is not a setting; [log] has level, format"),
        ("[rediss]\nx = 1\ny = 2", "[rediss] is not a section; did you mean [redis]?"),
        ("app = 1", "[app] is not a section; did you mean [apps]?"),
        ("lanes = 1", "[lanes] is not a section; lanes belongs below [bot]"),
        ("ws = 1", "ws is a section, not a value: put keys below [ws]"),
        ("[ws]\nport = 'http'", 'ws.port: expected a whole number, not "http"'),
        ("[ws]\nport = true", "ws.port: expected a number, not true"),
        ("[ws]\nport = 70000", "ws.port: expected at most 65535, not 70000"),
        ("[ws]\nport = [1]", "ws.port: expected a whole number, not [1]"),
        ("[ws]\nmax-connections = -1", "ws.max-connections: expected 0 or more, not -1"),
        ("[ws]\nhandler-timeout = inf", "ws.handler-timeout: expected a finite number"),
        ("[redis]\nlease-seconds = 0", "redis.lease-seconds: expected more than 0, not 0"),
        ("[bot]\nretry-delays = 5", "bot.retry-delays: expected a list, not 5"),
        ("[bot]\nretry-delays = [5, 'x']", 'bot.retry-delays[1]: expected a number, not "x"'),
        ("[log]\nlevel = 'loud'", 'log.level: expected debug, info, warning, error or critical, not "loud"'),
        ("[telegram]\ningest = 'pull'", 'telegram.ingest: expected polling or webhook, not "pull"'),
        ("[telegram]\ntest-environment = 'maybe'", 'telegram.test-environment: expected true or false, not "maybe"'),
        ("[ws]\npublic-url = 'https://x/ws'", "ws.public-url: expected an address that starts with ws:// or wss://"),
        ("[gateway]\ntrusted-proxies = ['x']", "gateway.trusted-proxies[0]: expected an IP address or network"),
        ("[redis]\nurl = 'http://h'", "redis.url: expected an address such as redis://localhost:6379/0"),
        ("[redis]\nprefix = 'a{b'", "redis.prefix: expected 1 to 32 letters, digits"),
        ("[database]\nurl = 'sqlite:///x'", "database.url: expected a SQLAlchemy address with an asyncio driver"),
        ("[apps.a]\nclass = 'app.Counter'", "apps.a.class: expected module:Class"),
        ("[apps.a]\nparse-mode = 'html'", 'apps.a.parse-mode: expected HTML, MarkdownV2 or Markdown, not "html"'),
        ("[apps.a]\nfake-user = { first_name = 'x' }", "apps.a.fake-user: expected a table with a numeric id"),
        ("[apps.a]\nmax-message-bytes = 'x'", "apps.a.max-message-bytes: expected a whole number"),
        ("[apps.a]\nbot-tokn = 'x'", "apps.a.bot-tokn is probably a typo; did you mean apps.a.bot-token?"),
        ("[apps.a]\nname = 'x'", "apps.a.name: the name name is taken in an app's settings; use another"),
        ("[apps.a.redis]\nurl = 'x'", "apps.a.redis: an app has no redis settings of its own"),
        ("[apps._]", "apps._: an app's name has a-z and 0-9 first"),
        ("[apps.Counter]", "apps.Counter: an app's name has a-z and 0-9 first"),
        ("[apps]\na = 5", "apps.a is an app, not a value: put keys below [apps.a]"),
        ("[apps.a-b]\n[apps.a_b]", "apps.a_b and apps.a-b differ only in - and _; rename one"),
        ("[ws]\nping-timeout = 1\nping_timeout = 2", "ws.ping-timeout is there twice, once with - and once with _"),
        ("[ws]\nport = \n", "is not valid TOML: Invalid value (at line 2"),
    ],
)
def test_a_mistake_in_the_file_is_one_clear_line(tmp_path: Path, text: str, line: str) -> None:
    found = mistakes(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(f"mini-apps.toml: {line}")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("MINI_APPS__WS__PROT", "1", "ws.prot is not a setting; did you mean MINI_APPS__WS__PORT?"),
        ("MINI_APPS__WS__PORT", "x", 'ws.port: expected a whole number, not "x"'),
        ("MINI_APPS__WSS__PORT", "1", "[wss] is not a section; did you mean [ws]?"),
        ("MINI_APPS__GATEWAY__API_KEYS", '["a', "gateway.api-keys holds broken JSON"),
        ("MINI_APPS__APPS__A__FAKE_USER", "Ada", "apps.a.fake-user holds broken JSON"),
        ("MINI_APPS__APPS__A__ADMINS", "1,x", 'apps.a.admins[1]: expected a whole number, not "x"'),
        ("MINI_APPS__APPS__A__ROUNDS", "many", "apps.a.rounds is int in the file, so this must be too"),
        (
            "MINI_APPS__APPS__A__BOT_TOKN",
            "x",
            "apps.a.bot-tokn is probably a typo; did you mean MINI_APPS__APPS__A__BOT_TOKEN",
        ),
        ("MINI_APPS__WS__PORT__X", "1", "ws.port is not a table; set MINI_APPS__WS__PORT"),
        (
            "MINI_APPS__APPS__A__BOT_TOKEN_FILE",
            "nowhere",
            "apps.a.bot-token-file: nowhere cannot be read: No such file",
        ),
        ("MINI_APPS__APPS__A__BOT_TOKEN_FILE", "empty", "apps.a.bot-token-file: empty is empty"),
        ("MINI_APPS__APPS__A__BOT_TOKEN_FILE", ".", "apps.a.bot-token-file: . cannot be read: Is a directory"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, name: str, value: str, line: str) -> None:
    (tmp_path / "empty").write_text(" \n")
    found = mistakes(tmp_path, "[apps.a]\nrounds = 3\n", {name: value})
    assert len(found) == 1, found
    assert found[0].replace(str(tmp_path), ".").startswith(f"{name}: {line}")


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = "[ws]\nport = 'x'\nprot = 1\n[redis]\nurl = 'x'\n[apps.a]\nclass = 'x'\nadmins = ['x', 'y']\n"
    found = mistakes(tmp_path, text, {"MINI_APPS__BOT__LANES": "0", "MINI_APPS__NO__THING": "1"})
    assert len(found) == 8, found


def test_what_an_app_inherits_is_told_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[telegram]\ningest = 'x'\n[ws]\nsession-ttl = -1\n[apps.a]\n[apps.b]\n")
    assert [line.split(":")[1] for line in found] == [" ws.session-ttl", " telegram.ingest"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bot-token = 'SECRETVALUE'", "bot-token: expected a bot token as @BotFather gives it"),
        ("webapp-key = 'SECRETVALUE'", "webapp-key: expected 64 hex digits"),
        ("webhook-secret = 'SECRETVALUE!'", "webhook-secret: expected 1 to 256 of A-Z a-z 0-9 _ -"),
        ("bot-token = ['SECRETVALUE']", "bot-token: expected a text"),
        ("bot-token = { SECRETVALUE = 1 }", "bot-token: expected a text"),
        ("session-keys = 'SECRETVALUE'", "session-keys: expected a list"),
        ("url = '987654321:SECRETVALUEaaaaaaaaaaaaaaaaaaaaaaaaaa'", "url: expected an address"),
    ],
)
def test_a_mistake_in_a_secret_does_not_show_it(tmp_path: Path, text: str, line: str) -> None:
    found = mistakes(tmp_path, f"[apps.a]\n{text}\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"mini-apps.toml: apps.a.{line}")
    assert "SECRETVALUE" not in found[0]


@pytest.mark.parametrize("url", ["redis://u:SECRETVALUE@[bad", "SECRETVALUE", "postgres://u:SECRETVALUE@h/x"])
def test_a_mistake_in_an_address_does_not_show_its_password(tmp_path: Path, url: str) -> None:
    found = mistakes(tmp_path, f"[redis]\nurl = '{url}'\n[database]\nurl = '{url}'\n")
    assert len(found) == 2
    assert "SECRETVALUE" not in "".join(found)


def test_the_exception_holds_no_secret_in_its_causes_either(tmp_path: Path) -> None:
    path = tmp_path / "mini-apps.toml"
    path.write_text("[apps.a]\nbot-token = 'SECRETVALUE'\n")
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("verify = 'signature'", ["verify: signature needs bot-id", "verify: signature needs session-keys"]),
        ("verify = 'signature'\nsession-keys = ['k']", ["verify: signature needs bot-id"]),
        (f"bot-token = '{TOKEN}'\nbot-id = 5", ["bot-id: is not the bot of bot-token"]),
        (f"bot-token = '{TOKEN}'\nwebapp-key = '{'ab' * 32}'", ["webapp-key: does not belong to bot-token"]),
    ],
)
def test_settings_of_an_app_that_cannot_hold_together(tmp_path: Path, text: str, lines: list[str]) -> None:
    found = mistakes(tmp_path, f"[apps.a]\n{text}\n")
    assert len(found) == len(lines), found
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(f"mini-apps.toml: apps.a.{start}")


def test_signature_is_content_with_global_session_keys_and_the_tokens_id(tmp_path: Path) -> None:
    path = tmp_path / "mini-apps.toml"
    path.write_text(f"[ws]\nsession-keys = ['k']\n[apps.a]\nverify = 'signature'\nbot-token = '{TOKEN}'\n")
    assert load(path, {}).apps["a"].bot_id == 123456


def test_a_secret_and_its_file_are_one_too_many(tmp_path: Path) -> None:
    environ = {"MINI_APPS__APPS__A__BOT_TOKEN": TOKEN, "MINI_APPS__APPS__A__BOT_TOKEN_FILE": "x"}
    found = mistakes(tmp_path, "", environ)
    assert found == [
        "MINI_APPS__APPS__A__BOT_TOKEN_FILE: apps.a.bot-token-file and apps.a.bot-token are both set; keep one"
    ]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.json", "{", "x.json: is not valid JSON: Expecting property name"),
        ("x.json", "[1]", "x.json: expected an object with a section for each part"),
        ("x.yaml", "a: 1", "x.yaml: a settings file is named .toml or .json"),
    ],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, name: str, content: str, line: str) -> None:
    found = mistakes(tmp_path, content, name=name)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"[ws]\n# \xff\n")
    with pytest.raises(SettingsError, match=r"x\.toml: is not UTF-8 text"):
        load(path, {})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        load(missing, {})
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        load(None, {"MINI_APPS_SETTINGS": str(missing)})


def test_without_any_settings_the_mistake_says_how_to_make_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load(None, {})
    assert len(caught.value.mistakes) == 1
    assert "mini-apps new NAME" in str(caught.value)
