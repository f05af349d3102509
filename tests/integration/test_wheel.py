"""The wheel, in an empty environment outside the checkout: what is in it, and that an app made with it runs."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from dev_support import CHECKOUT, environment, receive, running

pytestmark = pytest.mark.xdist_group("dev")

PACKAGES = {"mini_apps", "shared", "gateway", "bot_worker", "ws_server", "sandbox"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `make wheel` builds it, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_what_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert not [name for name in names if "/test" in name and not name.startswith("mini_apps/")]
    client = {path.name for path in (CHECKOUT / "client").iterdir() if path.suffix in {".js", ".ts", ".json"}}
    assert "mini-apps.js" in client
    assert {f"mini_apps/_client/{name}" for name in client} <= names
    assert "sandbox/page/index.html" in names


def test_an_app_made_with_the_wheel_runs_anywhere(wheel: Path, tmp_path: Path) -> None:
    python = _environment_with(wheel, tmp_path)
    command = python.with_name("mini-apps")
    env = environment(tmp_path)
    del env["PYTHONPATH"]
    outside = tmp_path / "out side"
    outside.mkdir()
    subprocess.run([command, "new", "demo"], cwd=outside, env=env, check=True, capture_output=True)
    found = subprocess.run(
        [python, "-P", "-c", "import mini_apps, shared; print(mini_apps.__path__[0], shared.__path__[0], sep='\\n')"],
        cwd=outside, env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert all(str(tmp_path / "env") in line for line in found.stdout.splitlines())
    tests = subprocess.run(
        [python, "-m", "pytest", "-q"], cwd=outside / "demo", env=env, capture_output=True, check=False
    )
    assert tests.returncode == 0, tests.stdout

    with running([str(command), "dev", "--port", "0"], outside / "demo", env, tmp_path / "log") as dev:
        assert "connect" in dev.get("/client/mini-apps.js")[1]
        with dev.login(1, "demo") as one, dev.login(2, "demo", user=1002) as two:
            one.send('{"type":"clap"}')
            receive(two, "claps", total=1)
        assert dev.interrupt() == 0
        dev.assert_nothing_is_left()


def _environment_with(wheel: Path, tmp_path: Path) -> Path:
    """Install the wheel into a new environment that has the packages of this one.

    That they are the packages which the wheel asks for is what `test_imports.py` holds.
    """
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python), "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    packages = next((home / "lib").glob("python*")) / "site-packages"
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python
