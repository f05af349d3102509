"""What `load` makes of a file, the environment and secret files, and what an app sees of it."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.settings import AppSettings, Settings, SettingsError, WsSettings, load
from shared.settings.docs import document

TOKEN = "123456:AAbb_cc-dd"
ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str, name: str = "mini-apps.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def app(folder: Path, text: str, environ: dict[str, str] | None = None) -> AppSettings:
    return load(write(folder, text), environ or {}).apps["counter"]


def hmac_hex(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def test_an_empty_file_gives_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, ""), {})
    assert settings.log.level == "info"
    assert settings.redis.url.get_secret_value() == "redis://localhost:6379/0"
    assert (settings.gateway.port, settings.ws.port, settings.bot.port, settings.bot.lanes) == (8080, 8081, 8090, 16)
    assert settings.bot.retry_delays == [1, 5, 15, 60]
    assert settings.ws.max_message_bytes == 65536
    assert settings.telegram.ingest == "polling"
    assert settings.apps == {}
    assert settings.folder == tmp_path


def test_dashes_and_underscores_are_the_same_in_a_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "[ws]\nmax_connections = 7\nmax-message-bytes = 8\n"), {})
    assert (settings.ws.max_connections, settings.ws.max_message_bytes) == (7, 8)


def test_json_by_suffix_reads_like_toml(tmp_path: Path) -> None:
    content = {"ws": {"port": 9, "public-url": None}, "apps": {"counter": {"class": "app:Counter"}}}
    settings = load(write(tmp_path, json.dumps(content), "other.json"), {})
    assert settings.ws.port == 9
    assert settings.ws.public_url == ""
    assert settings.apps["counter"].class_path == "app:Counter"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert load(write(tmp_path, "\ufeff[ws]\nport = 9\n"), {}).ws.port == 9


def test_the_file_comes_from_the_argument_then_the_environment_then_the_default_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "[ws]\nport = 1\n")
    named = write(tmp_path, "[ws]\nport = 2\n", "named.toml")
    given = write(tmp_path, "[ws]\nport = 3\n", "given.toml")
    assert load(None, {}).ws.port == 1
    assert load(None, {"MINI_APPS_SETTINGS": str(named)}).ws.port == 2
    assert load(given, {"MINI_APPS_SETTINGS": str(named)}).ws.port == 3


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {"MINI_APPS__APPS__COUNTER__CLASS": "app:Counter", "MINI_APPS__WS__PORT": "0"})
    assert settings.apps["counter"].class_path == "app:Counter"
    assert settings.ws.port == 0
    assert settings.folder == tmp_path
    assert settings.files == ()


def test_the_environment_wins_in_any_case(tmp_path: Path) -> None:
    path = write(tmp_path, "[ws]\nport = 1\n[redis]\nprefix = 'x'\n")
    settings = load(path, {"mini_apps__Ws__Port": "2", "MINI_APPS__REDIS__URL": "rediss://h/1"})
    assert settings.ws.port == 2
    assert settings.redis.prefix == "x"
    assert settings.redis.url.get_secret_value() == "rediss://h/1"


@pytest.mark.parametrize("text", ["1001, 1002,", "[1001, 1002]", "1001\n1002"])
def test_lists_in_the_environment_are_json_or_separated_by_commas(tmp_path: Path, text: str) -> None:
    assert app(tmp_path, "[apps.counter]\n", {"MINI_APPS__APPS__COUNTER__ADMINS": text}).admins == [1001, 1002]


def test_an_empty_list_in_the_environment_empties_the_files(tmp_path: Path) -> None:
    text = "[apps.counter]\nadmins = [1]\n"
    assert app(tmp_path, text, {"MINI_APPS__APPS__COUNTER__ADMINS": ""}).admins == []


def test_empty_variables_of_numbers_and_secrets_count_as_not_set(tmp_path: Path) -> None:
    text = f"[apps.counter]\nbot-token = '{TOKEN}'\nmax-message-bytes = 5\n"
    names = ("BOT_TOKEN", "MAX_MESSAGE_BYTES", "FAKE_USER", "ENABLED")
    found = app(tmp_path, text, {f"MINI_APPS__APPS__COUNTER__{name}": "" for name in names})
    assert found.bot_token == SecretStr(TOKEN)
    assert found.max_message_bytes == 5
    assert found.fake_user is None
    assert found.enabled is True


def test_tables_in_the_environment_are_json_or_set_key_by_key(tmp_path: Path) -> None:
    text = "[apps.counter]\nfake-user = { id = 1, first_name = 'Ada' }\n"
    name = "MINI_APPS__APPS__COUNTER__FAKE_USER"
    assert app(tmp_path, text, {name: '{"id": 5}'}).fake_user == {"id": 5}
    assert app(tmp_path, text, {f"{name}__ID": "7"}).fake_user == {"id": 7, "first_name": "Ada"}


def test_the_environment_finds_an_app_whose_name_has_dashes(tmp_path: Path) -> None:
    path = write(tmp_path, "[apps.tic-tac-toe]\nclass = 'app:Game'\n")
    settings = load(path, {"MINI_APPS__APPS__TIC_TAC_TOE__SHORT_NAME": "ttt"})
    assert list(settings.apps) == ["tic-tac-toe"]
    assert settings.apps["tic-tac-toe"].short_name == "ttt"
    assert settings.apps["tic-tac-toe"].class_path == "app:Game"


def test_an_own_key_keeps_the_files_type_in_the_environment(tmp_path: Path) -> None:
    text = "[apps.counter]\nrounds = 3\nsteep = true\nwords = ['a']\nlabel = 'x'\n"
    names = {"ROUNDS": "4", "STEEP": "false", "WORDS": "b,c", "LABEL": "5"}
    found = app(tmp_path, text, {f"MINI_APPS__APPS__COUNTER__{name}": value for name, value in names.items()})
    assert (found.rounds, found.steep, found.words, found.label) == (4, False, ["b", "c"], "5")


def test_secrets_come_from_files_and_are_stripped(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f" {TOKEN}\n")
    (tmp_path / "keys").write_text("one-key-of-many\ntwo-key-of-many\n")
    (tmp_path / "url").write_text("redis://:secret@h/0\n")
    path = write(tmp_path, "[gateway]\napi-keys-file = 'keys'\n[apps.counter]\n")
    environ = {
        "MINI_APPS__APPS__COUNTER__BOT_TOKEN_FILE": str(tmp_path / "token"),
        "MINI_APPS__REDIS__URL_FILE": "url",
    }
    settings = load(path, environ)
    assert settings.apps["counter"].bot_token == SecretStr(TOKEN)
    assert settings.redis.url.get_secret_value() == "redis://:secret@h/0"
    assert [key.get_secret_value() for key in settings.gateway.api_keys] == ["one-key-of-many", "two-key-of-many"]
    assert set(settings.files) == {path, tmp_path / "token", tmp_path / "keys", tmp_path / "url"}


def test_a_secret_file_in_the_environment_wins_over_the_files_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("9:fromfile")
    text = f"[apps.counter]\nbot-token = '{TOKEN}'\n"
    found = app(tmp_path, text, {"MINI_APPS__APPS__COUNTER__BOT_TOKEN_FILE": "token"})
    assert found.bot_token == SecretStr("9:fromfile")
    assert found.bot_id == 9


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/0",
        "rediss://:pw@h:6380/1",
        "unix:///run/valkey.sock?db=1",
        "redis+sentinel://a:1,b:2/mymaster/0",
        "redis+cluster://a:1,b:2",
    ],
)
def test_every_kind_of_redis_address_is_taken(tmp_path: Path, url: str) -> None:
    assert load(write(tmp_path, f"[redis]\nurl = '{url}'\n"), {}).redis.url.get_secret_value() == url


def test_an_app_falls_back_to_the_global_settings(tmp_path: Path) -> None:
    text = """
        [redis]
        prefix = "p"
        [telegram]
        ingest = "webhook"
        api-server = "https://bots.example.com"
        [ws]
        max-message-bytes = 9
        max-connections = 11
        session-keys = ["k"]
        [apps.counter]
        ingest = "polling"
        greeting = "hi"
        my-list = [1]
    """
    found = app(tmp_path, text)
    assert found.ingest == "polling"
    assert found.api_server == "https://bots.example.com"
    assert (found.max_message_bytes, found.get("max-message-bytes")) == (9, 9)
    assert (found.max_connections, found.get("max-connections")) == (11, 11)
    assert found.session_keys == [SecretStr("k")]
    assert found.redis.prefix == "p"
    assert (found.greeting, found.my_list, found.get("my-list"), found.get("my_list")) == ("hi", [1], [1], [1])
    assert found.name == "counter"


def test_get_has_a_default_for_what_is_nowhere_and_an_attribute_says_so(tmp_path: Path) -> None:
    found = app(tmp_path, "[apps.counter]\nclass = 'app:Counter'\n")
    assert found.get("fake-user") is None
    assert found.get("fake-user", 5) == 5
    assert found.get("class") == "app:Counter"
    assert found.get("nothing", "x") == "x"
    with pytest.raises(AttributeError, match="app 'counter' has no setting 'nothing'"):
        _ = found.nothing


def test_settings_cannot_be_changed_and_reject_unknown_names() -> None:
    with pytest.raises(ValidationError):
        WsSettings().port = 5
    with pytest.raises(ValidationError):
        WsSettings(prot=5)  # type: ignore[call-arg]  # what is tested


def test_the_models_list_is_one_per_process(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "[apps.a]\n[apps.b]\n"), {})
    settings.apps["a"].database_models.append(int)
    assert settings.apps["b"].database_models == settings.database_models == [int]
    assert load(write(tmp_path, "[apps.a]\n"), {}).database_models == []


def test_a_page_without_an_url_lies_below_the_public_one(tmp_path: Path) -> None:
    text = "[gateway]\npublic-url = 'https://m.example.com/'\n[apps.counter]\n"
    assert app(tmp_path, text).url == "https://m.example.com/apps/counter/"
    assert app(tmp_path, text + "url = 'https://other.example.com/'\n").url == "https://other.example.com/"


def test_the_key_for_init_data_comes_from_the_token_or_the_webapp_key() -> None:
    from_token = hmac.digest(b"WebAppData", TOKEN.encode(), "sha256")
    assert AppSettings(bot_token=SecretStr(TOKEN)).key_for_init_data() == from_token
    assert AppSettings(webapp_key=SecretStr("ab" * 32)).key_for_init_data() == b"\xab" * 32
    assert AppSettings().key_for_init_data() is None


def test_the_webhook_path_and_secret_are_the_same_wherever_they_are_derived() -> None:
    set_secret = AppSettings(webhook_secret=SecretStr("s3cret_-"), bot_token=SecretStr(TOKEN))
    assert set_secret.effective_webhook_secret() == "s3cret_-"
    assert set_secret.webhook_path() == hmac_hex("s3cret_-", "path")
    derived = AppSettings(bot_token=SecretStr(TOKEN)).effective_webhook_secret()
    assert derived is not None
    assert derived != AppSettings(bot_token=SecretStr("1:other")).effective_webhook_secret()
    gateway = AppSettings(webhook_secret=SecretStr(derived))  # the gateway knows only the secret
    assert gateway.webhook_path() == AppSettings(bot_token=SecretStr(TOKEN)).webhook_path()


def test_without_secret_and_token_there_is_no_webhook() -> None:
    assert AppSettings().effective_webhook_secret() is None
    with pytest.raises(LookupError, match="set webhook-secret or bot-token"):
        AppSettings().webhook_path()


def test_redacted_shows_everything_but_secrets(tmp_path: Path) -> None:
    text = f"""
        [redis]
        url = "redis://me:pass-word@h:1/2?password=pass-word"
        [gateway]
        api-keys = ["api-key-one-long-enough"]
        [ws]
        session-keys = ["session-key-long-enough"]
        [apps.counter]
        bot-token = "{TOKEN}"
        webhook-secret = "s3cret-of-hook"
        rounds = 3
        payments = {{ provider-token = "pay-token", currency = "XTR" }}
    """
    settings = load(write(tmp_path, text), {})
    shown = settings.redacted()
    everything = json.dumps(shown) + repr(settings) + str(settings)
    for secret in ("pass-word", "api-key-one", "session-key-long", TOKEN, "AAbb_cc", "s3cret-of-hook", "pay-token"):
        assert secret not in everything
    assert shown["redis"]["url"] == "redis://***@h:1/2?***"
    assert shown["gateway"]["api-keys"] == ["***"]
    assert shown["apps"]["counter"]["bot-token"] == "***"
    assert shown["apps"]["counter"]["bot-id"] == 123456
    assert shown["apps"]["counter"]["payments"] == {"provider-token": "***", "currency": "XTR"}
    assert shown["apps"]["counter"]["rounds"] == 3


def test_secrets_names_every_value_that_must_stay_out_of_logs(tmp_path: Path) -> None:
    text = f"""
        [redis]
        url = "redis://me:pass%21word@h:1/2"
        [gateway]
        api-keys = ["api-key"]
        [ws]
        session-keys = ["session-key"]
        [apps.counter]
        bot-token = "{TOKEN}"
        provider-token = "pay-token"
        payments = {{ api-key = "deep-key" }}
    """
    settings = load(write(tmp_path, text), {})
    found = settings.apps["counter"]
    key = found.key_for_init_data()
    assert key is not None
    wanted = {"pass!word", "pass%21word", "api-key", "session-key", TOKEN, "AAbb_cc-dd", "pay-token", "deep-key"}
    assert wanted | {key.hex(), found.webhook_path(), found.effective_webhook_secret()} <= set(settings.secrets())


def test_warnings_name_what_may_surprise(tmp_path: Path) -> None:
    text = """
        [telegram]
        ingest = "webhook"
        [apps.counter]
        url = "http://h/"
        fake-user = { id = 1 }
        [apps.off]
        enabled = false
        url = "http://h/"
    """
    found = load(write(tmp_path, text), {}).warnings()
    assert [line.partition(" ")[0] for line in found] == [
        "apps.counter.url:",
        "apps.counter.fake-user",
        "apps.counter.ingest",
    ]
    assert "not HTTPS" in found[0]
    assert "public-url" in found[2]
    assert "mini-apps new" in load(write(tmp_path, ""), {}).warnings()[0]


def test_paths_start_from_the_settings_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", "")
    monkeypatch.chdir(tmp_path)
    settings = load(Path("deep/mini-apps.toml"), {})
    assert settings.resolve("pages") == tmp_path / "deep" / "pages"
    assert settings.resolve("/srv/pages") == Path("/srv/pages")
    assert Settings().folder == tmp_path


def test_the_documentation_is_the_one_the_settings_write() -> None:
    written = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert written == document(), "run: python -m shared.settings.docs > docs/settings.md"


def test_the_error_text_is_its_mistakes() -> None:
    error = SettingsError(["one", "two"])
    assert error.mistakes == ["one", "two"]
    assert str(error) == "one\ntwo"


def test_a_database_may_lie_in_a_folder_with_a_space(tmp_path: Path) -> None:
    url = "sqlite+aiosqlite:////srv/my apps/db.sqlite"
    settings = load(write(tmp_path, f"[database]\nurl = '{url}'\n[apps.a]\n"), {})
    assert settings.database.url.get_secret_value() == url
