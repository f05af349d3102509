"""Looks whether a secret got into anything that a deployment leaves behind."""

import asyncio
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from bench.compose.engine import Docker
from bench.compose.stack import SERVICES, Stack
from bench.processes import MeasurementFailed
from bench.sides import ROOT

CHUNK = 1 << 20
PORTS = {"gateway": "8080", "bot_worker": "8090", "ws_server": "8081"}
VALKEY_FILES = "cat /data/appendonlydir/*"
DATABASE_FILES = "find /var/lib/postgresql/data -type f -size -20M -exec cat {} +"


@dataclass(slots=True)
class Place:
    """One place that was looked through.

    Attributes:
        name: in words.
        size: bytes that were looked at.
        found: names of the secrets in it.
    """

    name: str
    size: int = 0
    found: set[str] = field(default_factory=set)


def secrets_of(stack: Stack, init_data: Iterable[str], sessions: Iterable[str]) -> dict[str, bytes]:
    """Name everything that must not be found.

    Args:
        stack: whose secrets.
        init_data: strings that clients logged in with.
        sessions: tokens that clients got.
    """
    names = ("webapp_key", "webhook_secret", "session_keys", "database_password")
    found = {name: stack.secret(name).encode() for name in names}
    found["bot token"] = stack.token.encode()
    found["the secret half of the bot token"] = stack.token.partition(":")[2].encode()
    for number, text in enumerate(init_data):
        found[f"hash of init data {number}"] = dict(parse_qsl(text))["hash"].encode()
    for number, token in enumerate(sessions):
        found[f"session token {number}"] = token.encode()
    return found


def search(place: Place, pieces: Iterable[bytes], secrets: Mapping[str, bytes], sign: bytes) -> Place:
    """Look for secrets in the pieces of one long text.

    Args:
        place: that is filled in.
        pieces: of it, in order.
        secrets: by name.
        sign: that has to be in it, so that nobody takes an empty text for a clean one.

    Raises:
        MeasurementFailed: the sign is not there.
    """
    overlap = max(map(len, (*secrets.values(), sign)))
    before, signed = b"", False
    for piece in pieces:
        text = before + piece
        place.size += len(piece)
        place.found |= {name for name, secret in secrets.items() if secret in text}
        signed = signed or sign in text
        before = text[-overlap:]
    if not signed:
        raise MeasurementFailed(f"{place.name}: {sign!r} is not in it, so something is wrong with the search")
    return place


async def look_everywhere(stack: Stack, secrets: Mapping[str, bytes], watched: bytes) -> list[Place]:
    """Search logs, metrics, Redis, the database, images and containers.

    Args:
        stack: a running deployment.
        secrets: by name.
        watched: what `MONITOR` told of Redis' commands.
    """
    docker, fixed = stack.docker, {name: value for name, value in secrets.items() if " of init" not in name}
    image = stack.docker.environ["IMAGE"]

    def shell(service: str, command: str) -> Iterator[bytes]:
        return _output(docker, "compose", "exec", "-T", service, "sh", "-c", command)

    searches: list[tuple[str, Iterator[bytes], Mapping[str, bytes], bytes]] = [
        ("logs of all containers, level debug", _output(docker, "compose", "logs", "--no-color"), secrets, b'"level":'),
        ("commands of Redis", iter([watched]), secrets, b'"PUBLISH"'),
        ("Redis' append-only file", shell("valkey", VALKEY_FILES), secrets, b"rooms"),
        ("files of the database", shell("postgres", DATABASE_FILES), secrets, b"User <b>"),
        ("layers of the image", _output(docker, "image", "save", image), fixed, b"site-packages"),
        ("history of the image", _output(docker, "history", "--no-trunc", image), secrets, b"ENTRYPOINT"),
        ("what the engine knows of the image", _output(docker, "inspect", image), secrets, b"Entrypoint"),
    ]
    places = [
        await asyncio.to_thread(search, Place(name), pieces, looked_for, sign)
        for name, pieces, looked_for, sign in searches
    ]
    for service in SERVICES:
        containers = await docker.containers(service)
        told = (await docker.run("inspect", *containers)).encode()
        places.append(search(Place(f"what the engine knows of {service}"), [told], secrets, b"Mounts"))
        if service in PORTS:
            for container in containers:
                metrics = (await docker.run("exec", container, "ready", PORTS[service], "/metrics")).encode()
                places.append(search(Place(f"metrics of {service}"), [metrics], secrets, b"# HELP"))
    return places


def _output(docker: Docker, *arguments: str) -> Iterator[bytes]:
    """Run a command and give what it prints, in pieces."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(["docker", *arguments], cwd=ROOT, env=docker.environ, stdout=pipe, stderr=nothing) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(CHUNK):
            yield piece
