"""The systemd units: systemd takes them, they fit the drain, and each process gets only the secrets it needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import Settings, load

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("mini-apps-gateway.service", "mini-apps-bot.service", "mini-apps-ws@.service")
SECRETS = {
    "mini-apps-gateway.service": {"webhook_secret", "session_keys"},
    "mini-apps-bot.service": {"bot_token", "webhook_secret", "database_url"},
    "mini-apps-ws@.service": {"webapp_key", "session_keys", "database_url"},
}
VALUES = {
    "bot_token": "42:of-this-test",
    "webapp_key": "ab" * 32,
    "webhook_secret": "of-this-test",
    "session_keys": "a-key-of-this-test-0123456789",
    "database_url": "sqlite+aiosqlite:////var/lib/mini-apps/users.sqlite",
}


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The units, with a command that is there, by a path without spaces: systemd looks for it."""
    command = tmp_path / "mini-apps"
    command.symlink_to(Path(sys.executable).with_name("mini-apps"))
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/mini-apps/bin/mini-apps", str(command))
        (tmp_path / unit.name.replace("ws@.", "ws@8081.")).write_text(text)
    return tmp_path


def analyze(*arguments: str, folder: Path) -> str:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no systemd-analyze here")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_units(there: Path) -> None:
    units = [str(path) for path in there.glob("*.service")]
    assert len(units) == len(SERVICES)
    said = analyze("verify", "--man=no", str(there / "mini-apps.target"), *units, folder=there)
    assert "mini-apps" not in said, said  # it warns without failing


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_shut_in(service: str, there: Path) -> None:
    unit = service.replace("ws@.", "ws@8081.")
    analyze("security", "--offline=yes", "--threshold=20", f"./{unit}", folder=there)  # 2.0 of 10


@pytest.mark.parametrize("service", SERVICES)
def test_each_process_gets_the_secrets_it_needs_and_reads_them(service: str, tmp_path: Path) -> None:
    loaded = {value.partition(":")[0] for value in values(service, "LoadCredential")}
    assert loaded == SECRETS[service]
    environ = dict(value.split("=", 1) for value in values(service, "Environment") if value.startswith("MINI_APPS"))
    assert environ.pop("MINI_APPS__GATEWAY__MEDIA").startswith("/var/lib/mini-apps/")
    assert values(service, "StateDirectory") == ["mini-apps"]
    assert {value.removeprefix("%d/") for value in environ.values()} == loaded
    for name in loaded:
        (tmp_path / name).write_text(VALUES[name])
    settings = load(
        ROOT / "deploy" / "mini-apps.toml",
        {name: value.replace("%d", str(tmp_path)) for name, value in environ.items()},
    )
    assert "counter" in settings.apps


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_may_drain_before_it_is_killed(service: str) -> None:
    assert values(service, "KillSignal") == ["SIGTERM"]
    assert values(service, "KillMode") == ["mixed"]
    assert int(values(service, "TimeoutStopSec")[0]) >= Settings().ws.drain_seconds + 5


def test_a_node_may_hold_what_its_settings_allow() -> None:
    assert int(values("mini-apps-ws@.service", "LimitNOFILE")[0]) > Settings().ws.max_connections


def test_the_target_brings_everything_up() -> None:
    wanted = re.search(r"^Wants=(.*)$", (UNITS / "mini-apps.target").read_text(), re.MULTILINE)
    assert wanted
    templates = {re.sub(r"@\d+", "@", unit) for unit in wanted[1].split()}
    assert templates == set(SERVICES)
    assert all(values(service, "PartOf") == ["mini-apps.target"] for service in SERVICES)
