"""Finding the class of an app, each mistake one clear line; settings as an author's test gives them."""

import re
from pathlib import Path

import pytest

from mini_apps.app import App, SettingsListUserFilter
from mini_apps.client import Client
from mini_apps.loading import import_class
from shared.lifecycle import StartError
from shared.settings import AppSettings, load


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder modules are found in; their names are unique, since they stay imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_class_is_found(modules: Path) -> None:
    (modules / "loading_good.py").write_text("from mini_apps import App\nclass Counter(App): pass\n")
    assert issubclass(import_class("counter", "loading_good:Counter"), App)


@pytest.mark.parametrize(
    ("name", "source", "path", "text"),
    [
        ("", "", "", "apps.x.class is not set; name the App class as module:Class, such as app:Counter"),
        ("", "", "loading_none:A", "apps.x.class: there is no module loading_none (looked in "),
        ("", "", "loading_none.inner:A", "apps.x.class: there is no module loading_none (looked in "),
        ("loading_a", "import nothing_like_that", "loading_a:A", "loading_a needs the module nothing_like_that"),
        ("loading_b", "x = (", "loading_b:A", "importing loading_b failed: SyntaxError"),
        ("loading_c", "1/0", "loading_c:A", "importing loading_c failed: ZeroDivisionError: division by zero"),
        ("loading_d", "from mini_apps import App\nclass Real(App): ...", "loading_d:A", "no A; it has Real"),
        (
            "loading_f",
            "from mini_apps import App\nclass A(App):\n    def _link(self): ...",
            "loading_f:A",
            "TypeError: loading_f.A._link: App has a private member of this name, which yours would replace; rename",
        ),
        ("loading_e", "class A: ...", "loading_e:A", "loading_e:A is no App; derive it from mini_apps.App"),
    ],
)
def test_mistakes(modules: Path, name: str, source: str, path: str, text: str) -> None:
    if name:
        (modules / f"{name}.py").write_text(source + "\n")
    with pytest.raises(StartError) as caught:
        import_class("x", path)
    assert text in str(caught.value)


def test_private_names_of_an_app_cannot_be_taken_by_any_way() -> None:
    class Mixin:
        _mesh = None

    for bases in ((Mixin, App), (App, Mixin)):
        with pytest.raises(TypeError, match=r"Mixin\._mesh: App has a private member"):
            type("Mine", bases, {})
    names = {name for one in App.__mro__ for name in vars(one)} | set(vars(App({})))
    private = {name for name in names if name.startswith("_") and not name.startswith("__")}
    assert len(private) > 8
    for name in private:
        with pytest.raises(TypeError, match=name):
            type("Mine", (App,), {name: None})
    type("Mine", (App,), {"_mine": None, "__own": None, "on_subscribe": None})


def test_a_plain_dict_will_do_as_settings() -> None:
    app = App({"bot-token": "42:test", "admins": [7], "banned": [13], "my-limit": 5})
    assert app.name == "app"
    assert isinstance(app.settings, AppSettings)
    assert app.settings.my_limit == 5
    assert app.settings.get("session-ttl") == 3600
    assert app.settings.redis.prefix == "ma"
    assert isinstance(app.user_filter, SettingsListUserFilter)
    assert app.user_filter.admins == {7}
    assert app.log is not None


def test_the_name_comes_from_the_argument_the_settings_or_the_class(tmp_path: Path) -> None:
    class Tetris(App):
        pass

    file = tmp_path / "mini-apps.toml"
    file.write_text('[apps.blocks]\nclass = "x:Tetris"\n')
    settings = load(file, {}).apps["blocks"]
    assert Tetris(settings).name == "blocks"
    assert Tetris(settings, "other").name == "other"
    assert Tetris({}).name == "tetris"
    assert Tetris({}, name="named").settings.name == "named"
    assert Tetris(AppSettings(), "bare").settings.get("redis") is not None


@pytest.mark.parametrize("member", ["redis", "keys", "mesh"])
def test_outside_a_process_members_say_so(member: str) -> None:
    with pytest.raises(RuntimeError, match="app 'app' runs in no process yet"):
        getattr(App({}), member)


async def test_outside_a_process_publishing_says_so() -> None:
    app = App({})
    for attempt in (app.broadcast(type="x"), app.bot_status()):
        with pytest.raises(RuntimeError, match="runs in no process yet"):
            await attempt
    for attempt in (app.db, lambda: app.key("x")):
        with pytest.raises(RuntimeError, match="runs in no process yet"):
            attempt()


def test_without_a_key_a_login_cannot_be_checked() -> None:
    with pytest.raises(RuntimeError, match="set bot-token or webapp-key"):
        App({}).decode_telegram_data("x=1")
    with pytest.raises(ValueError, match=r"apps.app: no session tokens can be made; set bot-token"):
        _ = App({}).sessions


def test_short_session_keys_are_stretched_and_any_opens() -> None:
    class User:
        telegram_id = 5

    old = App({"session-keys": ["the old secret 1"]}, "a")
    both = App({"session-keys": ["the new secret 2", "the old secret 1"]}, "a")
    token, expires = old.seal_session(User(), 1000.0)
    assert expires == 4600
    assert both.sessions.open(token, 1001.0).telegram_id == 5
    newer, _ = both.seal_session(User(), 1000.0)
    with pytest.raises(ValueError, match="session token"):
        old.sessions.open(newer, 1001.0)


def test_the_authors_reference_names_every_member() -> None:
    text = (Path(__file__).parents[2] / "docs" / "app.md").read_text("utf-8")
    members = {name for kind in (App, Client) for name in dir(kind) if not name.startswith("_")}
    missing = [name for name in sorted(members) if not re.search(rf"\b{name}\b", text)]
    assert missing == []
