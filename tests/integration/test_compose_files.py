"""The files of a deployment in containers: they name real settings, fit each other, and hold no secret."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.init_data import webapp_key
from shared.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SANDBOX = ROOT / "docker-compose.sandbox.yml"
EXAMPLE = ROOT / ".env.example"
NGINX = ROOT / "deploy" / "nginx"
PROCESSES = ("gateway", "bot_worker", "ws_server")
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")
TOKEN = "123456789:AAE-a_token_for_this_test_0123456789a"
SECRETS = {
    "bot_token": TOKEN,
    "webapp_key": webapp_key(TOKEN).hex(),
    "webhook_secret": "a-secret-of-this-test",
    "database_url": "sqlite+aiosqlite:////data/users.sqlite",
}


def _expand(text: str, values: dict[str, str]) -> str:
    """Do what Compose does with `${NAME:-default}`."""
    return VARIABLE.sub(lambda found: values.get(found[1]) or found[2] or "", text)


def _example() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _service(file: Path, name: str) -> str:
    """Give the text of one service; the files are ours, so their indentation is known."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE)
    assert found, f"{file.name} has no service {name}"
    return found[1]


def _environment(file: Path, service: str, values: dict[str, str]) -> dict[str, str]:
    text = _expand(_service(file, service), values)
    return dict(re.findall(r"^      - (MINI_APPS__[A-Za-z0-9_-]+)=(.*)$", text, re.MULTILINE))


def _load(environ: dict[str, str], folder: Path) -> Settings:
    for name, value in SECRETS.items():
        (folder / name).write_text(value)
    there = {name: value.replace("/run/secrets", str(folder)) for name, value in environ.items()}
    return load(ROOT / "deploy" / "mini-apps.toml", there)


@pytest.mark.parametrize("service", PROCESSES)
@pytest.mark.parametrize("values", [{}, {"APP": "tic-tac-toe", "INGEST": "webhook"}], ids=["defaults", "own"])
def test_each_service_starts_with_settings_that_exist(service: str, values: dict[str, str], tmp_path: Path) -> None:
    environ = _environment(COMPOSE, service, values)
    if service in ("gateway", "bot_worker"):
        environ |= _environment(SANDBOX, service, values)
    assert len(environ) >= 5
    settings = _load(environ, tmp_path)
    assert settings.redis.url.get_secret_value() == "redis://valkey:6379/0"
    assert values.get("APP", "counter") in settings.apps


def test_each_process_gets_only_the_secrets_it_needs(tmp_path: Path) -> None:
    given = {}
    for service in PROCESSES:
        mounted = re.search(r"^    secrets: \[(.*)\]$", _service(COMPOSE, service), re.MULTILINE)
        assert mounted
        read = {value.rpartition("/")[2] for value in _environment(COMPOSE, service, {}).values() if "/run/" in value}
        given[service] = set(mounted[1].split(", "))
        assert given[service] == read, f"{service} reads what it is not given, or the other way round"
    assert given == {
        "gateway": {"webhook_secret"},
        "bot_worker": {"bot_token", "webhook_secret", "database_url"},
        "ws_server": {"webapp_key", "database_url"},
    }
    settings = {service: _load(_environment(COMPOSE, service, {}), tmp_path) for service in PROCESSES}
    hooks = {settings[name].apps["counter"].webhook_path() for name in ("gateway", "bot_worker")}
    keys = {settings[name].apps["counter"].key_for_init_data() for name in ("bot_worker", "ws_server")}
    assert len(hooks) == 1
    assert len(keys) == 1


def test_a_container_may_drain_before_it_is_killed(tmp_path: Path) -> None:
    grace = re.search(r"stop_grace_period: ([0-9]+)s .*ws.drain-seconds", COMPOSE.read_text())
    assert grace
    assert int(grace[1]) >= _load(_environment(COMPOSE, "ws_server", {}), tmp_path).ws.drain_seconds + 5


def test_limits_fit_each_other() -> None:
    example = _example()
    assert int(example["WS_MAX_CONNECTIONS"]) < int(example["NOFILE"]) * 0.9
    conf = (NGINX / "nginx.conf").read_text()
    ping = load(None, {"MINI_APPS__APPS__COUNTER__CLASS": "app:Counter"}).ws
    for name in ("read", "send"):
        timeout = re.search(rf"location = /ws {{[^}}]*proxy_{name}_timeout ([0-9]+)s;", conf)
        assert timeout
        assert int(timeout[1]) > 2 * ping.ping_interval


def test_the_example_lists_every_variable_with_its_default() -> None:
    example = _example()
    used = dict(VARIABLE.findall(COMPOSE.read_text() + SANDBOX.read_text()))
    assert used == example
    defaults = dict(VARIABLE.findall(COMPOSE.read_text()))
    for name, value in VARIABLE.findall(COMPOSE.read_text() + SANDBOX.read_text()):
        assert defaults.get(name, value) == value, f"{name} has two defaults"


def test_the_network_is_the_same_in_all_files() -> None:
    first_address = _example()["SUBNET"].replace(".0/24", ".1")
    assert f"set_real_ip_from {first_address};" in (NGINX / "front-proxy.conf").read_text()


def test_nginx_sets_the_forwarding_headers_wherever_it_passes_on() -> None:
    locations = re.findall(r"location [^{]*{([^}]*)}", (NGINX / "nginx.conf").read_text())
    passing = [text for text in locations if "proxy_pass" in text]
    assert len(passing) == 2
    assert all("include forwarding.conf;" in text for text in passing)
    headers = (NGINX / "forwarding.conf").read_text()
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in headers
    assert "$proxy_add_x_forwarded_for" not in headers


def test_nginx_logs_no_query_and_no_webhook_path() -> None:
    conf = (NGINX / "nginx.conf").read_text()
    log_format = re.search(r"log_format requests.*?;", conf, re.DOTALL)
    assert log_format
    logged = set(re.findall(r"\$[a-z0-9_]+", log_format[0]))
    assert "$path_to_log" in logged
    assert not logged & {"$request", "$request_uri", "$uri", "$args", "$query_string", "$http_referer"}
    assert "~*webhook /webhook/-;" in conf
    assert "error_log /dev/stderr crit;" in conf  # lines of level error repeat the request


def test_no_file_holds_a_secret() -> None:
    """Only the sandbox's token, which Telegram would not take, and what is derived from it."""
    folder = ROOT / "deploy" / "sandbox"
    assert (folder / "webapp_key").read_text().strip() == webapp_key((folder / "bot_token").read_text()).hex()
    files = [COMPOSE, SANDBOX, EXAMPLE, ROOT / "Dockerfile", *(p for p in (ROOT / "deploy").rglob("*") if p.is_file())]
    for path in files:
        text = path.read_text()
        assert not re.search(r"[0-9]{8,10}:[A-Za-z0-9_-]{35}", text), f"{path} holds a bot token"
        if path.parent != folder:
            assert not re.search(r"\b[0-9a-f]{64}\b", text), f"{path} holds a key"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env", "/secrets/"} <= set(ignored)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*", "the image is built from named files only"


def test_the_secrets_script_derives_what_the_processes_expect(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which deploy/secrets.sh needs")
    folder = tmp_path / "secret files"
    command = ["sh", str(ROOT / "deploy" / "secrets.sh")]
    environ = {**os.environ, "SECRETS": str(folder)}
    subprocess.run(command, input=TOKEN + "\n", text=True, env=environ, check=True, capture_output=True)
    assert (folder / "bot_token").read_text() == TOKEN
    assert (folder / "webapp_key").read_text().strip() == webapp_key(TOKEN).hex()
    assert folder.stat().st_mode & 0o777 == 0o700
    kept = (folder / "webhook_secret").read_text()
    subprocess.run(command, input="1:other\n", text=True, env=environ, check=True, capture_output=True)
    assert (folder / "webhook_secret").read_text() == kept
    refused = subprocess.run(command, input="nonsense\n", text=True, env=environ, check=False, capture_output=True)
    assert refused.returncode == 1
    assert "no bot token" in refused.stderr
    assert (folder / "bot_token").read_text() == "1:other"


def _compose(*files: Path) -> dict[str, Any]:
    if shutil.which("docker") is None:
        pytest.skip("no docker client here")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("this docker client has no compose")
    named = [part for file in files for part in ("-f", str(file))]
    command = ["docker", "compose", "--env-file", str(EXAMPLE), *named, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, SANDBOX)], ids=["alone", "with sandbox"])
def test_compose_accepts_the_files(files: tuple[Path, ...]) -> None:
    found = _compose(*files)
    for name in PROCESSES:
        service = found["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert not service.get("ports"), f"{name} is reached through nginx only"
        assert service["environment"] | _environment(COMPOSE, name, {}) == service["environment"]


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx here")
    for path in NGINX.iterdir():
        text = path.read_text().replace("/tmp/", f"{tmp_path}/").replace("/dev/std", f"{tmp_path}/std")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        [nginx, "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
