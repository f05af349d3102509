"""The files of a deployment in containers: they name real settings, fit each other, and hold no secret."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.compose.certificate import write_certificate
from mini_apps.sessions import Sessions
from shared.init_data import webapp_key
from shared.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DEV = ROOT / "docker-compose.dev.yml"
TLS = ROOT / "docker-compose.tls.yml"
FILES = (COMPOSE, DEV, TLS)
EXAMPLE = ROOT / ".env.example"
NGINX = ROOT / "deploy" / "nginx"
PROCESSES = ("gateway", "bot_worker", "ws_server")
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-([^}]*))?\}")
TOKEN = "123456789:AAE-a_token_for_this_test_0123456789a"
SECRETS = {
    "bot_token": TOKEN,
    "webapp_key": webapp_key(TOKEN).hex(),
    "webhook_secret": "a-secret-of-this-test",
    "session_keys": "a-key-of-this-test-0123456789",
    "database_url": "postgresql+asyncpg://mini_apps:secret-of-this-test@postgres/mini_apps",
    "database_password": "secret-of-this-test",
}


def _expand(text: str, values: dict[str, str]) -> str:
    """Do what Compose does with `${NAME:-default}`."""
    return VARIABLE.sub(lambda found: values.get(found[1]) or found[2] or "", text)


def _example() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _service(file: Path, name: str) -> str:
    """Give the text of one service; the files are ours, so their indentation is known."""
    found = re.search(rf"^  {name}:(?: #.*)?\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE)
    assert found, f"{file.name} has no service {name}"
    return found[1]


def _environment(file: Path, service: str, values: dict[str, str]) -> dict[str, str]:
    text = _expand(_service(file, service), values)
    return dict(re.findall(r"^      - (MINI_APPS__[A-Za-z0-9_-]+)=(.*)$", text, re.MULTILINE))


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"([0-9]+)([mg])b?", text).groups()  # type: ignore[union-attr]  # ours
    return int(number) * {"m": 1 << 20, "g": 1 << 30}[unit]


def _load(environ: dict[str, str], folder: Path) -> Settings:
    for name, value in SECRETS.items():
        (folder / name).write_text(value)
    there = {name: value.replace("/run/secrets", str(folder)) for name, value in environ.items()}
    return load(ROOT / "deploy" / "mini-apps.toml", there)


@pytest.mark.parametrize("service", PROCESSES)
@pytest.mark.parametrize("values", [{}, {"APP": "tic-tac-toe", "INGEST": "webhook"}], ids=["defaults", "own"])
def test_each_service_starts_with_settings_that_exist(service: str, values: dict[str, str], tmp_path: Path) -> None:
    environ = _environment(COMPOSE, service, values)
    environ |= _environment(DEV, service, values)
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
        "gateway": {"webhook_secret", "session_keys"},
        "bot_worker": {"bot_token", "webhook_secret", "database_url"},
        "ws_server": {"webapp_key", "session_keys", "database_url"},
    }
    settings = {service: _load(_environment(COMPOSE, service, {}), tmp_path) for service in PROCESSES}
    hooks = {settings[name].apps["counter"].webhook_path() for name in ("gateway", "bot_worker")}
    keys = {settings[name].apps["counter"].key_for_init_data() for name in ("bot_worker", "ws_server")}
    assert len(hooks) == 1
    assert len(keys) == 1
    node, gateway = (Sessions("counter", settings[name].apps["counter"]) for name in ("ws_server", "gateway"))
    someone = SimpleNamespace(telegram_id=7, telegram_data={}, first_login=None)
    assert gateway.open(node.seal(someone, 1_800_000_000)[0], 1_800_000_001).telegram_id == 7
    assert len({settings[name].apps["counter"].media_folder() for name in PROCESSES}) == 1


def test_a_container_may_drain_before_it_is_killed(tmp_path: Path) -> None:
    grace = re.search(r"stop_grace_period: ([0-9]+)s .*ws.drain-seconds", COMPOSE.read_text())
    assert grace
    assert int(grace[1]) >= _load(_environment(COMPOSE, "ws_server", {}), tmp_path).ws.drain_seconds + 5


def test_limits_fit_each_other() -> None:
    example = _example()
    assert int(example["WS_MAX_CONNECTIONS"]) < int(example["NOFILE"]) * 0.9
    assert _bytes(example["VALKEY_MEMORY"]) >= 2 * _bytes(example["VALKEY_MAXMEMORY"])
    processes = int(example["BOT_WORKERS"]) + int(example["WS_NODES"])
    assert int(example["POSTGRES_CONNECTIONS"]) > 2 * 15 * processes, "replacing all one after the other doubles them"
    conf = (NGINX / "nginx.conf").read_text()
    ping = load(None, {"MINI_APPS__APPS__COUNTER__CLASS": "app:Counter"}).ws
    for name in ("read", "send"):
        timeout = re.search(rf"location = /ws {{[^}}]*proxy_{name}_timeout ([0-9]+)s;", conf)
        assert timeout
        assert int(timeout[1]) > 2 * ping.ping_interval


def test_nginx_lets_a_whole_picture_through() -> None:
    conf = (NGINX / "nginx.conf").read_text()
    largest = re.search(r"location ~ \^/apps/\[\^/\]\+/media\$ {[^}]*client_max_body_size ([0-9]+)m;", conf)
    assert largest
    gateway = load(None, {"MINI_APPS__APPS__COUNTER__CLASS": "app:Counter"}).gateway
    assert int(largest[1]) * 1_048_576 > gateway.upload_max_bytes


def test_the_example_lists_every_variable_with_its_default() -> None:
    example = _example()
    found = VARIABLE.findall("".join(file.read_text() for file in FILES))
    used = dict(found)
    assert used == example
    assert all(used[name] == value for name, value in found), "a variable has two defaults"


def test_the_network_is_the_same_in_all_files() -> None:
    first_address = _example()["SUBNET"].replace(".0/24", ".1")
    assert f"set_real_ip_from {first_address};" in (NGINX / "front-proxy.conf").read_text()


def test_nginx_sets_the_forwarding_headers_wherever_it_passes_on() -> None:
    locations = re.findall(r"location [^{]*{([^}]*)}", (NGINX / "nginx.conf").read_text())
    passing = [text for text in locations if "proxy_pass" in text]
    assert len(passing) == 3
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
    """Only those of `deploy/dev`: a token Telegram would not take, what comes from it, a database nobody reaches."""
    folder = ROOT / "deploy" / "dev"
    assert (folder / "webapp_key").read_text().strip() == webapp_key((folder / "bot_token").read_text()).hex()
    files = [*FILES, EXAMPLE, ROOT / "Dockerfile", *(p for p in (ROOT / "deploy").rglob("*") if p.is_file())]
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
    password = (folder / "database_password").read_text()
    assert len(password) == 48
    url = (folder / "database_url").read_text()
    assert url == f"postgresql+asyncpg://mini_apps:{password}@postgres/mini_apps\n"
    kept = [(folder / name).read_text() for name in ("webhook_secret", "session_keys")]
    subprocess.run(command, input="1:other\n", text=True, env=environ, check=True, capture_output=True)
    assert [(folder / name).read_text() for name in ("webhook_secret", "session_keys")] == kept
    assert (folder / "database_url").read_text() == url
    refused = subprocess.run(command, input="nonsense\n", text=True, env=environ, check=False, capture_output=True)
    assert refused.returncode == 1
    assert "no bot token" in refused.stderr
    assert (folder / "bot_token").read_text() == "1:other"


def _compose_command() -> list[str]:
    """Find Compose 2: as a part of docker, or alone where `tools/deploy-tools.sh` put it."""
    for command in (["docker", "compose"], [str(ROOT / ".venv" / "tools" / "docker-compose")]):
        found = shutil.which(command[0])
        if found and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
            return command
    pytest.skip("no docker compose here: sh tools/deploy-tools.sh brings it")


def _compose(*files: Path, profile: str = "") -> dict[str, Any]:
    named = [part for file in files for part in ("-f", str(file))]
    command = [
        *_compose_command(),
        "--env-file",
        str(EXAMPLE),
        *named,
        "--profile",
        profile,
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, DEV), (COMPOSE, TLS)], ids=["alone", "dev", "tls"])
def test_compose_accepts_the_files(files: tuple[Path, ...]) -> None:
    found = _compose(*files)
    for name in PROCESSES:
        service = found["services"][name]
        assert not service.get("ports"), f"{name} is reached through nginx only"
        expected = _environment(COMPOSE, name, {}) | (_environment(DEV, name, {}) if DEV in files else {})
        assert service["environment"] == expected
    for name, service in found["services"].items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        if name != "valkey":  # its image starts as root and changes to a user of its own
            assert service["cap_drop"] == ["ALL"], name
        if name != "sandbox":  # for trying: nobody depends on it
            limits = service["deploy"]["resources"]["limits"]
            assert set(limits) == {"cpus", "memory", "pids"}, name
    assert set(found["secrets"]) >= set(SECRETS)


def test_the_profile_metrics_loads_what_deploy_holds() -> None:
    services = _compose(COMPOSE, profile="metrics")["services"]
    assert not {"prometheus", "grafana"} & set(_compose(COMPOSE)["services"])
    asked = re.findall(r"names: \[(\w+)\]", (ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert sorted(asked) == sorted(PROCESSES)
    source = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    assert "url: http://prometheus:9090" in source
    places = {volume["target"]: volume["source"] for volume in services["grafana"]["volumes"]}
    path = re.search(r"path: (\S+)}", (ROOT / "deploy/grafana/provisioning/dashboards/mini-apps.yml").read_text())
    assert path
    assert list(Path(places[path[1]]).glob("*.json"))
    assert services["grafana"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert not services["prometheus"].get("ports")
    for name in ("prometheus", "grafana"):
        assert services[name]["read_only"] is True
        assert set(services[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


def test_the_counts_are_those_of_a_deployment_that_survives(tmp_path: Path) -> None:
    services = _compose(COMPOSE)["services"]
    assert {name: services[name]["deploy"]["replicas"] for name in PROCESSES} == {
        "gateway": 2,
        "bot_worker": 2,
        "ws_server": 3,
    }


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_nginx_accepts_its_configuration(kind: str, tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx here: sh tools/deploy-tools.sh brings it")
    places = {"/tmp/": f"{tmp_path}/", "/dev/std": f"{tmp_path}/std", "/etc/nginx/mini-apps-tls/": f"{tmp_path}/tls/"}
    places["/run/secrets/"] = f"{tmp_path}/"
    (tmp_path / "tls").mkdir()
    for path in NGINX.iterdir():
        text = path.read_text()
        for place, here in places.items():
            text = text.replace(place, here)
        (tmp_path / path.name).write_text(text)
    if kind == "tls":
        (tmp_path / "tls.conf").rename(tmp_path / "tls" / "tls.conf")
        (tmp_path / "no-front-proxy.conf").rename(tmp_path / "front-proxy.conf")
        write_certificate(tmp_path / "tls_certificate", tmp_path / "tls_key", "mini-apps.test")
    done = subprocess.run(
        [nginx, "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
