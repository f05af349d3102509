"""The commands beside `dev`, as processes: what they print, where, and with which exit code."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

from dev_support import CHECKOUT, environment, run
from mini_apps.embedded import EmbeddedValkey
from shared.init_data import validate, webapp_key

TOKEN = "42:sandbox-demo"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.fixture
def demo(tmp_path: Path, env: dict[str, str], valkey: EmbeddedValkey, prefix: str) -> Path:
    """A new app on the tests' Valkey, with a token."""
    assert run("new", "demo", cwd=tmp_path, env=env).returncode == 0
    settings = tmp_path / "demo" / "mini-apps.toml"
    settings.write_text(
        f'{settings.read_text()}\nbot-token = "{TOKEN}"\napi-server = "http://127.0.0.1:9"\n'
        f'[redis]\nurl = "{valkey.url}"\nprefix = "{prefix}"\n'
    )
    return tmp_path / "demo"


def test_version_and_help_are_quick_and_plain(tmp_path: Path, env: dict[str, str]) -> None:
    code = "import sys; from mini_apps.cli import main; main(['version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    heavy = {"aiogram", "sqlalchemy", "aiohttp", "websockets", "redis", "rich"}
    assert heavy.isdisjoint(done.stdout.split())
    assert done.stdout.startswith("mini-apps-mesh ")
    assert "Traceback" not in run("--help", cwd=tmp_path, env=env).stdout


def test_wrong_words_are_usage_errors(tmp_path: Path, env: dict[str, str]) -> None:
    done = run("dve", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "Did you mean 'dev'?" in done.stderr
    assert "─" not in done.stderr


@pytest.mark.parametrize(
    "command", [["settings"], ["check"], ["dev"], ["gateway"], ["ws"], ["client"], ["users", "list"]]
)
def test_a_settings_typo_is_one_line_and_code_2(tmp_path: Path, env: dict[str, str], command: list[str]) -> None:
    (tmp_path / "mini-apps.toml").write_text("[gateway]\nprot = 1\n")
    done = run(*command, cwd=tmp_path, env=env)
    assert done.returncode == 2
    told = (done.stderr + done.stdout).strip()
    assert told.endswith("mini-apps.toml: gateway.prot is not a setting; did you mean gateway.port?")
    assert "\n" not in told


def test_settings_are_shown_without_secrets(demo: Path, env: dict[str, str]) -> None:
    shown = run("settings", cwd=demo, env={**env, "MINI_APPS__GATEWAY__PORT": "9999"}).stdout
    assert TOKEN not in shown
    assert tomllib.loads(shown)["gateway"]["port"] == 9999
    as_json = run("settings", "--json", "--settings", str(demo / "mini-apps.toml"), cwd=demo.parent, env=env).stdout
    assert json.loads(as_json)["apps"]["demo"]["class"] == "app:Demo"


def test_init_data_is_good(demo: Path, env: dict[str, str]) -> None:
    data = run("init-data", "--user", "7", "--name", "Zoë", "--start-param", "ref", cwd=demo, env=env).stdout.strip()
    found = validate(data, webapp_key(TOKEN))
    assert (found.user or {})["first_name"] == "Zoë"
    url = run("init-data", "--url", cwd=demo, env=env).stdout.strip()
    page, _, fragment = url.partition("#")
    assert page == "http://127.0.0.1:8080/apps/demo/"
    validate(parse_qs(fragment)["tgWebAppData"][0], webapp_key(TOKEN))
    assert unquote(fragment)


def test_check_tells_good_from_bad(demo: Path, env: dict[str, str]) -> None:
    done = run("check", cwd=demo, env={**env, "MINI_APPS__APPS__DEMO__URL": "http://example.com/"})
    assert "! apps.demo.url: http://example.com/ is not HTTPS" in done.stdout
    assert "✓ Redis: 127.0.0.1:" in done.stdout
    assert "✓ apps.demo.class: app:Demo loads" in done.stdout
    assert "✓ apps.demo.pages:" in done.stdout
    assert "✗ apps.demo.bot-token: http://127.0.0.1:9 cannot be reached" in done.stdout
    assert TOKEN.partition(":")[2] not in done.stdout + done.stderr
    assert done.returncode == 1


def test_check_without_redis(demo: Path, env: dict[str, str]) -> None:
    done = run("check", cwd=demo, env={**env, "MINI_APPS__REDIS__URL": "redis://:hush@127.0.0.1:9/0"})
    assert "✗ Redis: nothing answers at 127.0.0.1:9/0" in done.stdout
    assert {line[0] for line in (done.stdout + done.stderr).splitlines()} <= set("✓✗!")
    assert "hush" not in done.stdout + done.stderr
    assert done.returncode == 1


def test_users_are_listed_banned_and_promoted(demo: Path, env: dict[str, str]) -> None:
    assert run("users", "list", cwd=demo, env=env).stdout == "nobody has logged in yet\n"
    assert run("users", "ban", "7", cwd=demo, env=env).stdout == "7 is banned from demo\n"
    assert run("users", "admin", "8", "--app", "demo", cwd=demo, env=env).stdout == "8 is an admin of demo\n"
    listed = run("users", "list", cwd=demo, env=env).stdout
    assert [line.split()[0::4] for line in listed.splitlines()] == [["7", "banned"], ["8", "admin"]]
    assert run("users", "unban", "7", cwd=demo, env=env).returncode == 0
    assert run("users", "admin", "8", "--off", cwd=demo, env=env).returncode == 0
    assert run("users", "list", cwd=demo, env=env).stdout == "nobody has logged in yet\n"


def test_commands_without_what_they_need_say_so(demo: Path, env: dict[str, str]) -> None:
    for command, said in (
        (["users", "list", "--app", "nope"], "there is no app 'nope' in the settings; there is demo"),
        (["webhook", "set"], "a webhook needs gateway.public-url"),
        (["webhook", "info"], "http://127.0.0.1:9 cannot be reached"),
        (["client", "--port", "9"], "no gateway answers at http://127.0.0.1:9; is `mini-apps dev` running?"),
        (["client", "--url", "ws://127.0.0.1:9/ws"], "no WebSocket node answers at ws://127.0.0.1:9/ws"),
        (["dev", "--redis", "redis://127.0.0.1:9/0"], "nothing answers at 127.0.0.1:9/0; start it there"),
        (["dev", "--redis", "localhost"], "--redis: expected an address such as redis://localhost:6379/0"),
        (["users", "list", "--port", "9"], "no `mini-apps dev` of yours runs on port 9"),
    ):
        done = run(*command, cwd=demo, env={**env, "MINI_APPS__GATEWAY__PORT": "9"})
        assert said in done.stderr, done
        assert done.returncode in (1, 2)
        assert done.stderr.count("\n") == 1


def test_a_package_in_our_way_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").touch()
    beside = run("version", cwd=tmp_path, env=env)  # at the end of sys.path it does no harm
    assert beside.returncode == 0
    before = run("version", cwd=tmp_path, env={**env, "PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})
    assert before.returncode == 1
    assert f"the package 'shared' at {tmp_path}/shared hides" in before.stderr
    assert before.stderr.count("\n") == 1
