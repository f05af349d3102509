"""A real `mini-apps dev` as a process of its own, and proof that it left nothing behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from mini_apps.testing import sign_init_data

CHECKOUT = Path(__file__).resolve().parents[1]
START_SECONDS = 300.0


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """An environment whose temporary files are the test's, and that finds our packages from anywhere."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINI_APPS")}
    return {**kept, "TMPDIR": str(temporary), "PYTHONPATH": str(CHECKOUT), "COLUMNS": "100", **more}


def run(*arguments: str, cwd: Path, env: dict[str, str], stdin: str = "", seconds: float = 60) -> Any:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "mini_apps", *arguments],
        cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


class Dev:
    """A running `dev`.

    Args:
        command: the words that start it, `dev` included.
        cwd: where.
        env: from `environment`.
        log: a file for what it writes.
    """

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str], log: Path) -> None:
        self.log = log
        self.temporary = Path(env["TMPDIR"])
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    @property
    def text(self) -> str:
        """What it wrote so far."""
        return self.log.read_text()

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until it wrote something; fails when it ends before."""
        until = time.monotonic() + seconds
        while (found := re.search(pattern, self.text)) is None:
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"dev did not write {pattern!r}:\n{self.text}")
            time.sleep(0.02)
        return found

    def wait_until_up(self) -> None:
        """Wait for the banner, which tells the port."""
        self.port = int(self.wait_for(r"open +http://127\.0\.0\.1:(\d+)/")[1])
        self.wait_for("Ctrl-C stops everything")

    def get(self, path: str, offset: int = 0) -> tuple[int, str]:
        """GET a path of the gateway, or of a process some ports further on, redirects followed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port + offset}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path: str, offset: int, **body: Any) -> Any:
        """POST JSON and return the JSON answered."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port + offset}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    @contextlib.contextmanager
    def login(self, node: int, app: str, user: int = 1001) -> Iterator[ClientConnection]:
        """Open a socket to node 1 or 2 and log in."""
        data = sign_init_data(f"42:sandbox-{app}", user={"id": user, "first_name": "Ada"})
        with connect(f"ws://127.0.0.1:{self.port + node}/ws") as opened:
            opened.send(json.dumps({"type": "login", "app": app, "data": data}))
            receive(opened, "welcome")
            yield opened

    def children(self) -> dict[int, str]:
        """Every process that was started with the effective settings of this `dev`, by id."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if str(self.temporary) in words:
                        found[int(entry.name)] = words
        return found

    def child(self, words: str) -> int:
        """The id of the child whose command line ends with these words."""
        return next(pid for pid, line in self.children().items() if line.strip().endswith(words))

    def interrupt(self) -> int:
        """Do what Ctrl-C does, and return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(90)

    def assert_nothing_is_left(self, seconds: float = 10) -> None:
        """No process, no listener, and (after a clean stop) no file."""
        until = time.monotonic() + seconds
        while left := [*self.children().values(), *(f"port {port}" for port in self._open_ports())]:
            if time.monotonic() > until:
                pytest.fail(f"left behind: {left}")
            time.sleep(0.05)

    def _open_ports(self) -> list[int]:
        taken = []
        for port in range(self.port, self.port + 6):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    taken.append(port)
        return taken


def receive(opened: ClientConnection, kind: str, **fields: Any) -> Any:
    """Receive until a message of a type with these fields comes."""
    until = time.monotonic() + 20
    while True:
        message = json.loads(opened.recv(timeout=until - time.monotonic()))
        if message["type"] == kind and fields.items() <= message.items():
            return message


@contextlib.contextmanager
def running(command: Sequence[str], cwd: Path, env: dict[str, str], log: Path) -> Iterator[Dev]:
    """Start a `dev`, wait until it is up, and end it by force if the test did not."""
    dev = Dev(command, cwd, env, log)
    try:
        dev.wait_until_up()
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.interrupt()
