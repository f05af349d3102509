"""`mini-apps ws --reload`: what a node of the compose file for developing does when its author saves."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from dev_support import environment
from mini_apps.embedded import EmbeddedValkey, free_port
from mini_apps.testing import sign_init_data
from support import TOKEN

PATIENCE = 300.0
CODE = """
from mini_apps import App

class Saved(App):
    async def handle_message(self, client, type, data):
        return "first"
"""


def wait_for(condition: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true"
        time.sleep(0.02)


def ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def answered(port: int) -> str:
    """Log in and ask; empty where the node is on its way down or up."""
    data = sign_init_data(TOKEN, user={"id": 7, "first_name": "Ada"})
    try:
        with connect(f"ws://127.0.0.1:{port}/ws", open_timeout=5) as page:
            page.send(json.dumps({"type": "login", "app": "saved", "data": data}))
            page.send(json.dumps({"type": "ask", "id": 1}))
            while (message := json.loads(page.recv(timeout=5)))["type"] != "reply":
                pass
    except (OSError, TimeoutError, WebSocketException):
        return ""
    return str(message["data"])


def test_a_node_starts_anew_when_a_file_is_saved(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    app, log, port = tmp_path / "saved.py", tmp_path / "log", free_port()
    app.write_text(CODE)
    (tmp_path / "mini-apps.toml").write_text('[apps.saved]\nclass = "saved:Saved"\n')
    environ = environment(
        tmp_path,
        MINI_APPS__REDIS__URL=valkey.url,
        MINI_APPS__REDIS__PREFIX=prefix,
        MINI_APPS__WS__DRAIN_SECONDS="1",
        MINI_APPS__APPS__SAVED__BOT_TOKEN=TOKEN,
    )
    command = [sys.executable, "-P", "-m", "mini_apps", "ws", "--reload", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=out, stderr=out)
    try:
        wait_for(lambda: ready(port), "the first readiness")
        assert answered(port) == "first"
        app.write_text(CODE + "def broken(:\n")
        wait_for(lambda: "what ran before goes on" in log.read_text(), "a word about the mistake")
        assert answered(port) == "first"
        app.write_text(CODE + "raise RuntimeError('at import')\n")
        wait_for(lambda: "it ended with code 1" in log.read_text(), "a word about the end")
        app.write_text(CODE.replace('"first"', '"second"'))
        wait_for(lambda: answered(port) == "second", "the new code")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not ready(port)
    finally:
        process.kill()
        process.wait()
    assert '"event":"stopped"' in log.read_text().splitlines()[-1]
