"""A network namespace for one process, behind a link whose packets this process passes on: later, or not at all."""

import asyncio
import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from typing import Final

TUNSETIFF: Final = 0x400454CA
TUN_WITHOUT_HEADER: Final = 0x0001 | 0x1000
PACKET: Final = 65_536


class Far:
    """Another place: `ip netns exec` runs a process there, and every packet to and from it goes through us.

    Attributes:
        name: of the namespace.
        here: our address on the link.
        there: the address of the namespace.
        delay: seconds that a packet takes, each way.
        loss: share of the packets that are lost, each way.
    """

    def __init__(self) -> None:
        number = os.getpid() % 60_000
        self.name = f"chaos{os.getpid()}"
        self.here, self.there = (f"10.213.{number // 250}.{number % 250 + last}" for last in (1, 2))
        self.delay = self.loss = 0.0

    @property
    def command(self) -> tuple[str, ...]:
        """What comes before the command of a process that shall be there."""
        return ("ip", "netns", "exec", self.name)

    @contextlib.contextmanager
    def reachable(self) -> Iterator[None]:
        """Make the place, and pass packets on while the block runs; needs root and a running loop."""
        loop = asyncio.get_running_loop()
        _ip("netns", "add", self.name)
        with contextlib.ExitStack() as stack:
            stack.callback(_ip, "netns", "del", self.name)
            near, far = _tun(f"{self.name}n"), _tun(f"{self.name}f")
            stack.callback(os.close, near)
            stack.callback(os.close, far)
            _ip("link", "set", f"{self.name}f", "netns", self.name)
            _ip("addr", "add", self.here, "peer", self.there, "dev", f"{self.name}n")
            _ip("link", "set", f"{self.name}n", "up")
            _ip("-n", self.name, "addr", "add", self.there, "peer", self.here, "dev", f"{self.name}f")
            for device in (f"{self.name}f", "lo"):
                _ip("-n", self.name, "link", "set", device, "up")
            for one, other in ((near, far), (far, near)):
                loop.add_reader(one, self._pass, loop, one, other)
                stack.callback(loop.remove_reader, one)
            yield

    def _pass(self, loop: asyncio.AbstractEventLoop, one: int, other: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(one, PACKET)
                if random.random() < self.loss:
                    continue
                if self.delay:
                    loop.call_later(self.delay, _send, other, packet)
                else:
                    _send(other, packet)


def why_not() -> str:
    """Say why there can be no such place here, empty where there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and iproute2"
    try:
        os.close(_tun("chaosprobe"))
        _ip("netns", "add", "chaosprobe")
        _ip("netns", "del", "chaosprobe")
    except (OSError, subprocess.CalledProcessError):
        return "no network namespaces or no TUN devices here"
    return ""


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), TUN_WITHOUT_HEADER))
    except OSError:
        os.close(device)
        raise
    return device


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _send(device: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # a full queue loses a packet, as a real link does; a closed one is the end
        os.write(device, packet)
