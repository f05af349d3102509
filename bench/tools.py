"""What a run needs beside our own packages: the load tools, compiled, and the peers, installed into `bench/.cache`."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PEERS = HERE / "peers"
PYTHON_PEERS = {
    "python-socketio": ["python-socketio", "uvicorn", "uvloop", "websockets", "redis"],
    "Django Channels": ["channels", "channels_redis", "django", "uvicorn", "uvloop", "websockets"],
}
NODE_PEERS = {
    "Socket.IO": ["socket.io", "@socket.io/redis-adapter", "@socket.io/redis-emitter", "redis"],
    "ws": ["ws", "ioredis"],
}


class ToolsMissing(Exception):
    """The benchmark cannot run on this machine; the text says what it lacks."""


@dataclass(slots=True)
class Toolbox:
    """Where everything is.

    Attributes:
        versions: of each peer that is there, by name.
        missing: why a peer is left out, by name.
    """

    load: Path
    limit: Path
    python: Path = CACHE / "venv/bin/python"
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def has(self, peer: str) -> bool:
        """Whether a peer is there to compare with."""
        return peer in self.versions


def prepare(*, peers: bool) -> Toolbox:
    """Compile the load tools and, if asked for, install every peer that can be.

    Raises:
        ToolsMissing: no Linux, no compiler, no `taskset`, or only one core.
    """
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        raise ToolsMissing("the benchmark pins processes to two cores, so it needs Linux and two of them")
    if shutil.which("taskset") is None:
        raise ToolsMissing("there is no taskset: sudo apt-get install util-linux")
    toolbox = Toolbox(compile_tool("load"), compile_tool("cfan"))
    if peers:
        _install_python(toolbox)
        _install_node(toolbox)
    return toolbox


def compile_tool(name: str) -> Path:
    """Compile a load tool where it, or what the tools share, has changed, and return the program.

    Raises:
        ToolsMissing: there is no compiler, or this is no Linux, for which they are written.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise ToolsMissing("the load tools need Linux and a C compiler: sudo apt-get install gcc libc6-dev")
    CACHE.mkdir(exist_ok=True)
    source, binary = HERE / f"tools/{name}.c", CACHE / name
    changed = max(file.stat().st_mtime for file in (source, *source.parent.glob("*.h")))
    if not binary.exists() or binary.stat().st_mtime < changed:
        fresh = binary.with_name(f"{name}.{os.getpid()}")  # others may be compiling or running it
        done = subprocess.run([compiler, "-O2", "-w", "-o", fresh, source], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolsMissing(f"{source} does not compile: {done.stderr.strip()[-500:]}")
        fresh.replace(binary)
    return binary


def _install_python(toolbox: Toolbox) -> None:
    if not toolbox.python.exists():
        print("making an environment for the Python peers", flush=True)
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
    for peer, packages in PYTHON_PEERS.items():
        command: list[str | Path] = [
            toolbox.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *packages,
        ]
        if (trouble := _stamped(f"venv/{packages[0]}.installed", command)) is not None:
            toolbox.missing[peer] = trouble
            continue
        asked = f"from importlib.metadata import version; print(version({packages[0]!r}))"
        toolbox.versions[peer] = subprocess.check_output([toolbox.python, "-c", asked], text=True).strip()


def _install_node(toolbox: Toolbox) -> None:
    for peer, packages in NODE_PEERS.items():
        if shutil.which("node") is None or shutil.which("npm") is None:
            toolbox.missing[peer] = "there is no node and npm on this machine"
            continue
        home = CACHE / "node"
        home.mkdir(exist_ok=True)
        command: list[str | Path] = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            home,
            *packages,
        ]
        if (trouble := _stamped(f"node/{packages[0]}.installed", command)) is not None:
            toolbox.missing[peer] = trouble
            continue
        asked = f"require({str(home / 'node_modules' / packages[0] / 'package.json')!r}).version"
        toolbox.versions[peer] = subprocess.check_output(["node", "-p", asked], text=True).strip()


def _stamped(stamp: str, command: list[str | Path]) -> str | None:
    """Run an installation unless it was done before; say what went wrong."""
    done_before = CACHE / stamp
    if done_before.exists():
        return None
    print(f"installing {' '.join(str(part) for part in command[-4:])} …", flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        return "its installation took more than 3 minutes"
    if done.returncode:
        return f"it could not be installed: {(done.stderr.strip() or 'no reason given')[-200:]}"
    done_before.touch()
    return None
