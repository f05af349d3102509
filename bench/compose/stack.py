"""One deployment of the compose files, with secrets of its own, from its build to its end."""

import asyncio
import json
import os
import re
import secrets
import ssl
import subprocess
import time
from pathlib import Path

from bench.compose.certificate import write_certificate
from bench.compose.engine import Docker
from bench.processes import MeasurementFailed
from bench.sides import ROOT

HERE = Path("bench/compose")
NAME = "mini-apps.test"  # in the certificate, and in the containers' network
PROJECT = "mini-apps-run"
IMAGE = "mini-apps-mesh:run"
SERVICES = ("gateway", "bot_worker", "ws_server", "valkey", "postgres", "nginx")
BASE = "python:3.13-slim-bookworm"
MOST_ABOVE_BASE = 200_000_000
START_SECONDS = "900"
PEOPLE = tuple(range(1001, 1009))  # who write to the bot: as many chats, over the lanes


class Stack:
    """The deployment.

    Args:
        folder: for its secrets.
        ports: of this machine, for HTTP, HTTPS and the sandbox.

    Attributes:
        project: its name at the engine.
        token: of its bot.
        docker: the engine, with the variables of the compose files.
    """

    def __init__(self, folder: Path, ports: tuple[int, int, int]) -> None:
        self.project = PROJECT
        self.port, self.tls_port, self.sandbox_port = ports
        self.token = f"{secrets.randbelow(10**9) + 10**9}:AA{secrets.token_hex(16)}x"
        self._folder = folder
        files = ["docker-compose.yml", "docker-compose.tls.yml", f"{HERE}/stack.yml"]
        if stand_in("postgres:17"):
            files.append(f"{HERE}/stand_in.yml")
        example = [line for line in (ROOT / ".env.example").read_text().splitlines() if re.match("[A-Z]", line)]
        self.docker = Docker(
            {
                **dict(line.split("=", 1) for line in example),  # so that no .env has a say
                "COMPOSE_PROJECT_NAME": PROJECT,
                "COMPOSE_FILE": os.pathsep.join(files),
                "SECRETS": str(folder),
                "APP": "rooms",
                "APP_FOLDER": str(ROOT / HERE / "app"),
                "APP_PLACE": "/app",
                "IMAGE": IMAGE,
                "INGEST": "webhook",
                "PUBLIC_URL": f"https://{NAME}:8443",
                "WS_PUBLIC_URL": f"wss://{NAME}:8443/ws",
                "ALLOWED_ORIGINS": f"https://{NAME}:8443",
                "LOG_LEVEL": "debug",
                "SUBNET": "172.28.77.0/24",
                "HTTP_PORT": str(self.port),
                "HTTPS_BIND": "127.0.0.1",
                "HTTPS_PORT": str(self.tls_port),
                "SANDBOX_PORT": str(self.sandbox_port),
            }
        )

    @property
    def url(self) -> str:
        """Where nginx takes HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox(self) -> str:
        """Where the sandbox's page API is for this bot."""
        return f"http://127.0.0.1:{self.sandbox_port}/sandbox/api/bots/rooms"

    def tls(self) -> ssl.SSLContext:
        """Trust this deployment's certificate, and no other."""
        return ssl.create_default_context(cafile=str(self._folder / "tls_certificate"))

    def secret(self, name: str) -> str:
        """Return one of the secrets."""
        return (self._folder / name).read_text().strip()

    async def write_secrets(self) -> None:
        """Write what `deploy/secrets.sh` writes, a certificate, and the sandbox's bot."""
        await self.docker.run("deploy/secrets.sh", program="sh", stdin=self.token.encode() + b"\n")
        write_certificate(self._folder / "tls_certificate", self._folder / "tls_key", NAME)
        url = f"https://{NAME}:8443/apps/rooms/"
        bot = {"name": "rooms", "token": self.token, "url": url, "short_name": "rooms"}
        users = [{"id": number, "first_name": f"User {number}"} for number in PEOPLE]
        sandbox = {"bots": [bot], "users": users}
        (self._folder / "sandbox").write_text(json.dumps(sandbox))

    async def build(self) -> dict[str, int]:
        """Build the image, and return its size and that of its base, in bytes.

        Raises:
            MeasurementFailed: there is a compiler in it, it runs as root, or it is too large.
        """
        await self.docker.compose("build", "gateway")
        sizes = [found["Size"] for found in await self.docker.inspect(IMAGE, BASE)]
        look = "for tool in cc gcc g++ make; do command -v $tool; done; id -u"
        said = (await self.docker.run("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", look)).split()
        if len(said) != 1 or said[0] == "0" or sizes[0] - sizes[1] > MOST_ABOVE_BASE:
            raise MeasurementFailed(
                f"the image is not as promised: {said}, {sizes[0] - sizes[1]:,} bytes above its base"
            )
        return {"image": sizes[0], "base": sizes[1]}

    async def up(self, *options: str) -> None:
        """Do what `docker compose up` does until everything is healthy."""
        wait = ("--detach", "--wait", "--wait-timeout", START_SECONDS)
        await self.docker.compose("up", *wait, *options)

    async def scale(self, nodes: int) -> None:
        """Have so many WebSocket nodes."""
        await self.up("--no-recreate", "--scale", f"ws_server={nodes}")

    async def down(self) -> None:
        """Remove everything, the data too."""
        await self.docker.compose("down", "--volumes", "--remove-orphans", "--timeout", "40")

    async def troubles(self) -> str:
        """Return the last lines of each container that is not healthy."""
        lines = []
        for service in (*SERVICES, "sandbox"):
            for container in await self.docker.containers(service, stopped=True):
                health = (await self.docker.health(container))[0]
                if health != "healthy":
                    lines.append(f"{service} {container[:12]} is {health}:")
                    lines.append(await self.docker.run("logs", "--tail", "12", container, all_output=True))
        return "\n".join(lines)

    async def healthy(self, service: str, count: int, seconds: float = 90.0) -> None:
        """Wait until a service has so many healthy containers.

        Raises:
            MeasurementFailed: that takes too long.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            containers = await self.docker.containers(service)
            if containers and (await self.docker.health(*containers)).count("healthy") >= count:
                return
            await asyncio.sleep(0.2)
        raise MeasurementFailed(f"{service} had no {count} healthy containers within {seconds:g} s")


def stand_in(image: str) -> bool:
    """Tell whether an image is there, but not the one of its name, which has an entry point."""
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Entrypoint}}", image]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.returncode == 0 and found.stdout.strip() in ("null", "[]")
