"""What `dev` starts, in which order, and what it says about it."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mini_apps.cli.dev.child import Command
from mini_apps.cli.dev.effective import Wish
from mini_apps.cli.dev.folder import SETTINGS
from mini_apps.cli.dev.ports import HOST
from mini_apps.cli.packages import HOME, is_installed, program

SANDBOX = "sandbox.json"
DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the runner needs to know.

    Attributes:
        wish: what was asked for.
        folder: the private folder, which holds the effective settings.
            apps: names of the apps.
        notes: lines for the banner about what may surprise.
    """

    wish: Wish
    folder: Path
    apps: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def stages(self) -> list[list[Command]]:
        """List the children in the order they start; those of one stage start together."""
        ports = self.wish.ports
        before: list[Command] = []
        if self.wish.redis_url is None:
            argv = self._ours("valkey", "--port", str(ports.valkey), "--folder", str(self.folder))
            before.append(Command("valkey", argv, ports.valkey, ""))
        if self.wish.sandbox:
            argv = self._ours("sandbox", "--config", str(self.folder / SANDBOX))
            before.append(Command("sandbox", argv, ports.sandbox, "/healthz"))
        return [
            before,
            [
                Command("gateway", self._ours("gateway"), ports.gateway),
                Command("bot", self._ours("bot"), ports.bot, loads_app=True),
                self._node("ws-1", ports.ws_1),
                self._node("ws-2", ports.ws_2),
            ],
        ]

    def environ(self) -> dict[str, str]:
        """Give what the children's environment needs besides ours: from a checkout, where our packages are."""
        if is_installed():
            return {}
        return {"PYTHONPATH": os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))}

    def banner(self) -> list[str]:
        """Tell what runs where, the page to open first."""
        ports, wish = self.wish.ports, self.wish
        names = ", ".join(self.apps)
        rows = [
            ("open", f"{wish.gateway_url()}{'  phones with your bot and mini app' if wish.sandbox else ''}"),
            ("", ""),
            ("gateway", f"http://{HOST}:{ports.gateway}  pages of {names}"),
            ("ws-1", f"ws://{HOST}:{ports.ws_1}/ws"),
            ("ws-2", f"ws://{HOST}:{ports.ws_2}/ws"),
            ("bot", f"one worker, health at http://{HOST}:{ports.bot}/readyz"),
            ("sandbox", f"{wish.sandbox_url()}  a local Telegram, no bot token needed" if wish.sandbox else ""),
            ("valkey", f"redis-cli -p {ports.valkey}" if wish.redis_url is None else ""),
            ("client", self._client()),
            ("settings", str(self.folder / SETTINGS)),
        ]
        lines = [f"  {name:<8} {text}".rstrip() for name, text in rows if text or not name]
        return ["", *lines, "", *(f"  {note}" for note in self.notes), "  Ctrl-C stops everything.", ""]

    def negotiate(self) -> str:
        """Give the gateway's path that tells whether pages find a node yet."""
        return f"/negotiate?app={self.apps[0]}"

    def _client(self) -> str:
        port = f" --port {self.wish.ports.gateway}" if self.wish.ports.gateway != DEFAULT_PORT else ""
        return f"{program()} client{port}{f' --app {self.apps[0]}' if len(self.apps) > 1 else ''}"

    def _node(self, name: str, port: int) -> Command:
        return Command(name, self._ours("ws", "--port", str(port), "--node-id", name), port, loads_app=True)

    def _ours(self, command: str, *arguments: str) -> Sequence[str]:
        settings = str(self.folder / SETTINGS)
        return (sys.executable, "-P", "-m", "mini_apps", "--tied", "--settings", settings, command, *arguments)
