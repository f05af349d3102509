"""The Docker engine, by its command line."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from bench.processes import MeasurementFailed
from bench.sides import ROOT


def missing() -> str:
    """Say what is missing here to run containers; empty when nothing is."""
    if shutil.which("docker") is None:
        return "there is no docker client"
    for command, trouble in (("compose version", "docker has no compose"), ("version", "no docker engine answers")):
        if subprocess.run(["docker", *command.split()], capture_output=True, check=False).returncode:
            return trouble
    return ""


class Docker:
    """Runs `docker …` in the checkout.

    Args:
        environ: more variables than this process has, such as those that the compose files read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = {**os.environ, **environ}

    async def run(self, *arguments: str, program: str = "docker", stdin: bytes = b"", all_output: bool = False) -> str:
        """Run a command to its end and return what it printed.

        Args:
            arguments: of the command.
            program: to run instead of `docker`.
            stdin: for it to read.
            all_output: return what it wrote to standard error, too.

        Raises:
            MeasurementFailed: it failed.
        """
        both = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            program, *arguments, cwd=ROOT, env=self.environ, stdin=both, stdout=both, stderr=both
        )
        out, err = await process.communicate(stdin)
        if process.returncode:
            raise MeasurementFailed(f"{program} {' '.join(arguments)}: {err.decode(errors='replace').strip()[-3000:]}")
        return (out + err if all_output else out).decode(errors="replace")

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose …`."""
        return await self.run("compose", *arguments)

    async def containers(self, service: str, *, stopped: bool = False) -> list[str]:
        """Return the ids of a service's containers."""
        found = await self.compose("ps", "--quiet", "--no-trunc", *(("--all",) if stopped else ()), service)
        return found.split()

    async def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Return all that the engine knows of containers or images."""
        found: list[dict[str, Any]] = json.loads(await self.run("inspect", *names))
        return found

    async def health(self, *containers: str) -> list[str]:
        """Return the health of each container, `exited` where it does not run."""
        states = [found["State"] for found in await self.inspect(*containers)]
        return [state["Health"]["Status"] if state["Running"] else "exited" for state in states]
