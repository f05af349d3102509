"""Reading the apps again: what counts as a change, what stays, and what is refused."""

from pathlib import Path

import pytest

from shared.settings import SettingsError, compare, load, reload

FILE = """
[telegram]
api-server = "https://one.example"
[apps.a]
bot-token = "1:a"
own-key = [1]
[apps.b]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mini-apps.toml"
    path.write_text(text, "utf-8")
    return path


def test_apps_come_go_and_change(tmp_path: Path) -> None:
    old = load(write(tmp_path, FILE), {})
    write(tmp_path, FILE.replace("[1]", "[2]").replace("1:a", "1:b").replace("[apps.b]", "[apps.c]\nadmins = [7]"))
    new = reload(old)
    changes = compare(old, new)
    assert (changes.added, changes.removed) == (("c",), ("b",))
    assert changes.changed == {"a": {"bot_token", "own_key"}}
    assert new.apps["c"].admins == [7]
    assert not compare(new, reload(new))


def test_a_disabled_app_is_a_removed_one(tmp_path: Path) -> None:
    old = load(write(tmp_path, FILE), {})
    write(tmp_path, FILE + "enabled = false\n")
    new = reload(old)
    assert compare(old, new).removed == ("b",)
    assert compare(new, old).added == ("b",)


def test_what_is_outside_apps_is_named_and_stays_for_apps_that_inherit_it(tmp_path: Path) -> None:
    old = load(write(tmp_path, FILE), {})
    write(tmp_path, FILE.replace("one", "two") + "[redis]\nlease-seconds = 9\n")
    new = reload(old)
    assert new.elsewhere == ["redis.lease-seconds", "telegram.api-server"]
    assert new.redis.lease_seconds == old.redis.lease_seconds
    assert new.apps["a"].api_server == "https://one.example"
    assert new.apps["a"].redis is old.redis
    assert not compare(old, new)


def test_the_environment_counts_as_at_the_start(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("1:a")
    old = load(write(tmp_path, "[apps.a]\n"), {"MINI_APPS__APPS__A__BOT_TOKEN_FILE": str(secret)})
    assert secret in old.files
    secret.write_text("1:rotated")
    new = reload(old)
    assert new.apps["a"].bot_token is not None
    assert new.apps["a"].bot_token.get_secret_value() == "1:rotated"
    assert compare(old, new).changed == {"a": {"bot_token"}}


def test_mistakes_are_all_told_with_the_files_that_may_mend_them(tmp_path: Path) -> None:
    old = load(write(tmp_path, FILE), {})
    write(tmp_path, "[apps.a]\nbot-token-file = 'nowhere'\nadmins = 'x'\n")
    with pytest.raises(SettingsError) as raised:
        reload(old)
    assert len(raised.value.mistakes) == 2
    assert raised.value.files == (tmp_path / "mini-apps.toml", tmp_path / "nowhere")


def test_a_file_that_is_gone_is_a_mistake_and_no_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, FILE)
    old = load(None, {})
    path.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        reload(old)


def test_models_registered_before_stay_registered(tmp_path: Path) -> None:
    old = load(write(tmp_path, FILE), {})
    old.apps["a"].database_models.append("model")
    assert reload(old).apps["b"].database_models == ["model"]
