"""What other settings mean for the apps that run."""

from pathlib import Path

from mini_apps.app import App, UserFilter
from mini_apps.renewal import BOT_LOOKS_UP, NODE_LOOKS_UP, renewal
from shared.settings import AppSettings, Settings, compare, load


def read(folder: Path, text: str) -> Settings:
    file = folder / "mini-apps.toml"
    file.write_text(text)
    return load(file, {})


def test_each_app_gets_what_its_change_needs(tmp_path: Path) -> None:
    old = read(tmp_path, "[apps.a]\n[apps.b]\n[apps.c]\nbot-token = '1:a'\n[apps.d]\n[apps.e]\n")
    apps = {name: App(settings, name) for name, settings in old.apps.items()}
    text = "[apps.a]\nadmins = [1]\n[apps.b]\nmine = 1\n[apps.c]\nbot-token = '1:b'\n[apps.e]\n[apps.f]\n"
    changes = compare(old, read(tmp_path, text))
    node, bot = renewal(apps, changes, NODE_LOOKS_UP), renewal(apps, changes, BOT_LOOKS_UP)
    assert (node.added, node.removed) == (bot.added, bot.removed) == (("f",), ("d",))
    assert (node.renewed, dict(node.kept)) == (("b",), {"a": {"admins"}, "c": {"bot_token"}})
    assert (bot.renewed, dict(bot.kept)) == (("b", "c"), {"a": {"admins"}})


def test_another_bot_is_another_app_for_a_node_too(tmp_path: Path) -> None:
    old = read(tmp_path, "[apps.a]\nbot-token = '1:a'\n")
    changes = compare(old, read(tmp_path, "[apps.a]\nbot-token = '2:a'\n"))
    assert renewal({"a": App(old.apps["a"], "a")}, changes, NODE_LOOKS_UP).renewed == ("a",)


def test_an_app_with_a_filter_of_its_own_starts_anew_for_the_lists(tmp_path: Path) -> None:
    old = read(tmp_path, "[apps.a]\n")
    app = App(old.apps["a"], "a")
    app.user_filter = UserFilter()
    banned = compare(old, read(tmp_path, "[apps.a]\nbanned = [1]\n"))
    moved = compare(old, read(tmp_path, "[apps.a]\nurl = 'https://x.example'\n"))
    assert renewal({"a": app}, banned, NODE_LOOKS_UP).renewed == ("a",)
    assert renewal({"a": app}, moved, NODE_LOOKS_UP).kept == {"a": {"url"}}
    app.use_settings(AppSettings(banned=[7]))
    assert type(app.user_filter) is UserFilter
    assert not app.filters_by_settings


def test_an_app_that_goes_on_has_the_new_lists_and_keys(tmp_path: Path) -> None:
    old = read(tmp_path, "[apps.a]\nbot-token = '1:a'\n")
    app = App(old.apps["a"], "a")
    before = app.sessions
    app.use_settings(read(tmp_path, "[apps.a]\nbot-token = '1:b'\nbanned = [5]\n").apps["a"])
    assert not app.user_filter.filter_telegram_id(5)
    assert app.filters_by_settings
    assert app.sessions is not before
