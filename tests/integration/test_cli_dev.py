"""`mini-apps dev` for real: six processes, an embedded Valkey, a local Telegram."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from dev_support import CHECKOUT, Dev, environment, receive, run, running
from mini_apps.embedded import EmbeddedValkey

pytestmark = pytest.mark.xdist_group("dev")  # one deployment at a time is enough for a small machine

DEV = (sys.executable, "-P", "-m", "mini_apps", "dev")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.fixture
def demo(tmp_path: Path, env: dict[str, str]) -> Path:
    """A new app, in a folder with a space in its name."""
    folder = tmp_path / "my apps"
    folder.mkdir()
    assert run("new", "demo", cwd=folder, env=env).returncode == 0
    return folder / "demo"


def test_everything_works_and_ctrl_c_leaves_nothing(demo: Path, env: dict[str, str], tmp_path: Path) -> None:
    with running([*DEV, "--port", "0"], demo, env, tmp_path / "log") as dev:
        assert "demo" in dev.get("/apps/demo/")[1]
        assert dev.get("/client/mini-apps.js")[0] == 200
        status, page = dev.get("/")  # the gateway leads to the sandbox
        assert (status, "<html" in page) == (200, True)

        with dev.login(1, "demo") as one, dev.login(2, "demo", user=1002) as two:
            receive(two, "claps", total=0)  # what there was when it came, on a slow machine after the clap
            one.send('{"type":"clap"}')
            assert receive(two, "claps", total=1)["by"] == "Ada"

        chat = "/sandbox/api/bots/demo/users/1001"
        dev.post(f"{chat}/messages", 3, text="/start")
        wait_for_answer(dev, chat, "Hello! 1 claps so far")

        client = run("client", "--port", str(dev.port), cwd=tmp_path, env=env, stdin="clap id=5\nclap by\n")
        lines = [json.loads(line) for line in client.stdout.splitlines()]
        assert {"type": "reply", "id": 5, "data": 2} in lines
        assert "'by' is not key=value" in client.stderr
        assert client.returncode == 0

        settings = next(dev.temporary.rglob("settings.json"))
        assert settings.stat().st_mode & 0o077 == 0

        assert "lane" not in dev.text  # what only matters to those who run it stays out of the author's sight
        assert dev.interrupt() == 0
        dev.assert_nothing_is_left()
    assert list(dev.temporary.iterdir()) == []
    assert not list(demo.rglob("*.sqlite*"))


def wait_for_answer(dev: Dev, chat: str, text: str) -> None:
    until = time.monotonic() + 20
    while text not in (shown := dev.get(f"{chat}/chat", 3)[1]):
        assert time.monotonic() < until, shown
        time.sleep(0.05)


def test_a_killed_runner_takes_its_children_along(demo: Path, env: dict[str, str], tmp_path: Path) -> None:
    with running([*DEV, "--port", "0"], demo, env, tmp_path / "log") as dev:
        assert len(dev.children()) >= 6
        dev.process.kill()
        dev.process.wait(60)
        dev.assert_nothing_is_left()


def test_what_dies_comes_back_and_what_changes_restarts(demo: Path, env: dict[str, str], tmp_path: Path) -> None:
    app, settings = demo / "app.py", demo / "mini-apps.toml"
    code = app.read_text()
    with running([*DEV, "--port", "0", "--reload"], demo, env, tmp_path / "log") as dev:
        os.kill(dev.child("ws-2"), signal.SIGKILL)
        dev.wait_for(r"ws-2 was ended by SIGKILL; starting it again in [\d.]+ s")
        with dev.login(1, "demo") as other:  # meanwhile the other node serves
            other.send('{"type":"clap","id":1}')
            receive(other, "reply", data=1)

        app.write_text(code + "\ndef broken(:\n")
        dev.wait_for(r"app\.py line \d+: invalid syntax; what ran before goes on")
        app.write_text(code + "\nraise RuntimeError('at import')\n")
        dev.wait_for(r"error .*RuntimeError: at import")
        dev.wait_for("did not start; waiting for the next change")
        app.write_text(code.replace("total=total, by", "total=total, new=True, by"))
        dev.wait_for(r"ready again after [\d.]+ s")
        with dev.login(2, "demo") as two:
            two.send('{"type":"clap"}')
            receive(two, "claps", total=2, new=True)

        settings.write_text(settings.read_text().replace("short-name", "shrt-name"))
        dev.wait_for(r"shrt-name is probably a typo")
        assert dev.interrupt() == 0
        dev.assert_nothing_is_left()


def three_free_ports() -> range:
    """Three in a row, below those that the kernel gives to whoever asks for any."""
    for first in random.sample(range(20_000, 30_000), 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 3):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return range(first, first + 3)
    pytest.fail("no three ports in a row are free")


def test_a_taken_port_is_one_clear_line(demo: Path, env: dict[str, str], tmp_path: Path) -> None:
    port = three_free_ports()[2]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        for first, wanted_by in ((port, "the gateway"), (port - 2, "the WebSocket node ws-2")):
            done = run("dev", "--port", str(first), cwd=demo, env=env)
            assert done.returncode == 1
            assert re.fullmatch(rf"mini-apps: port {port}, wanted by {wanted_by}, is already in use; .*\n", done.stderr)
            assert done.stdout == ""
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_cannot_start_ends_everything_and_says_why(demo: Path, env: dict[str, str], tmp_path: Path) -> None:
    done = run("dev", "app:Nothing", "--port", "0", cwd=demo, env=env, seconds=120)
    assert done.returncode == 1
    assert "the module app has no Nothing; it has Demo" in done.stdout
    assert done.stdout.count("Nothing; it has Demo") == 1
    assert "before it was ready; everything is stopped" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_counter_needs_no_settings_and_takes_any_redis(
    env: dict[str, str], tmp_path: Path, valkey: EmbeddedValkey
) -> None:
    command = [*DEV, "examples.counter.app:Counter", "--port", "0", "--redis", valkey.url]
    with running(command, CHECKOUT, env, tmp_path / "log") as dev:
        assert not [line for line in dev.children().values() if " valkey " in line]
        assert json.loads(dev.get("/settings.json")[1])["apps"] == ["counter"]
        assert dev.get("/apps/counter/")[0] == 200
        with dev.login(1, "counter"):
            pass  # logged in
        assert dev.interrupt() == 0
        dev.assert_nothing_is_left()
