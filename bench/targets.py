"""What our side wants to reach, and whether it did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.medians import Medians
from bench.sides import LIMIT, OURS, PYTHON_SOCKETIO, SOCKET_IO, WS

Seen = tuple[str, bool | None]
UNSEEN: Seen = ("", None)


@dataclass(frozen=True, slots=True)
class Target:
    """One claim.

    Attributes:
        work: what is done.
        text: what must be reached.
        check: what was seen, and whether that is enough.
    """

    work: str
    text: str
    check: Callable[[Medians], Seen]

    def judge(self, medians: Medians) -> dict[str, Any]:
        """Say what was seen."""
        seen, reached = self.check(medians)
        return {"work": self.work, "target": self.text, "seen": seen, "reached": reached}


def _at_least(work: str, row: str, times: float, other: str, figure: str = "frames_s") -> Target:
    def check(medians: Medians) -> Seen:
        ratio = medians.ratio(row, OURS, other, figure)
        return UNSEEN if ratio is None else (f"{ratio:.2f} ×", ratio >= times)

    return Target(work, f"≥ {times:g} × {other}", check)


def _p99_below(work: str, row: str, other: str, times: float = 1.0) -> Target:
    def check(medians: Medians) -> Seen:
        ratio = medians.ratio(row, OURS, other, "p99")
        mine, theirs = medians.of(row, OURS, "p99"), medians.of(row, other, "p99")
        if ratio is None or mine is None or theirs is None:
            return UNSEEN
        return f"{mine:.1f} ms to {theirs:.1f} ms, {ratio:.2f} ×", ratio <= times if times > 1 else ratio < 1

    return Target(work, f"p99 ≤ {times:g} × {other}" if times > 1 else f"p99 below {other}", check)


def _sustained(medians: Medians) -> Seen:
    p99, behind = medians.of("200k", OURS, "p99"), medians.of("200k", OURS, "behind")
    rate, delivered = medians.of("200k", OURS, "frames_s"), medians.of("200k", OURS, "delivered")
    if p99 is None or behind is None or rate is None or delivered is None:
        return UNSEEN
    return f"{rate:,.0f}/s, p99 {p99:.1f} ms", delivered == 1 and behind <= 0.2 and p99 <= 60


def _ten_thousand(medians: Medians) -> Seen:
    p99, rate = medians.of("10,000", OURS, "p99"), medians.of("10,000", OURS, "frames_s")
    delivered = medians.of("10,000", OURS, "delivered")
    if p99 is None or rate is None or delivered is None:
        return UNSEEN
    lost = "" if delivered == 1 else f", {delivered:.1%} delivered"
    return f"{rate:,.0f}/s, p99 {p99:.1f} ms{lost}", delivered == 1 and rate >= 48_500 and p99 <= 100


def _memory(medians: Medians) -> Seen:
    kb = medians.of("memory", OURS, "kb")
    return UNSEEN if kb is None else (f"{kb:.1f} KB", kb <= 8)


def _growth(work: str, row: str, figure: str, small: str, large: str, most: float) -> Target:
    def check(medians: Medians) -> Seen:
        ratio, unit = medians.ratio(row, large, small, figure), figure.removeprefix("cpu_us_per_")
        few, many = medians.of(row, small, figure), medians.of(row, large, figure)
        if ratio is None or few is None or many is None:
            return UNSEEN
        return f"{few:.2f} µs and {many:.2f} µs per {unit}: {ratio - 1:+.0%}", abs(ratio - 1) <= most or ratio < 1

    return Target(work, f"within {most:.0%} of that at {small}", check)


def _two_nodes(medians: Medians) -> Seen:
    ratio = medians.ratio("nodes", "2", "1", "cpu")
    return UNSEEN if ratio is None else (f"{ratio:.0%}", ratio <= 0.6)


BROADCAST = "broadcast of 128 bytes to 1,000 clients through Redis, as fast as it goes"
PACED = "the same paced at 50,000 frames/s"
ECHO = "echo through `async def handle_message` with a reply"
ROOMS = "relay in 500 rooms of 2, members on different nodes"
TARGETS = (
    _at_least(BROADCAST, "max", 2.5, LIMIT),
    _at_least(BROADCAST, "max", 6, SOCKET_IO.name),
    _at_least(BROADCAST, "max", 50, PYTHON_SOCKETIO.name),
    _p99_below(PACED, "50k", LIMIT, 2),
    _p99_below(PACED, "50k", WS.name),
    _p99_below(PACED, "50k", SOCKET_IO.name),
    Target("the same paced at 200,000 frames/s", "sustained, p99 ≤ 60 ms", _sustained),
    _at_least(ECHO, "echo", 1.15, SOCKET_IO.name),
    _at_least(ECHO, "echo", 5, PYTHON_SOCKETIO.name),
    _at_least(ROOMS, "rooms", 1.5, SOCKET_IO.name),
    _p99_below(ROOMS, "rooms", SOCKET_IO.name),
    Target(
        "10,000 clients on 2 nodes, each in a personal channel and a group of 10, 200 joins and leaves a second",
        "50,000 frames/s, p99 ≤ 100 ms",
        _ten_thousand,
    ),
    _at_least("connect and login with validated init data", "connect", 1.3, SOCKET_IO.name, "logins_s"),
    Target("idle logged-in connection, at 10,000", "≤ 8 KB resident", _memory),
    _growth("CPU per delivered frame at 10,000 clients", "clients", "cpu_us_per_frame", "1,000", "10,000", 0.25),
    _growth(
        "CPU per published message at 10,000 channels of 10", "channels", "cpu_us_per_message", "100", "10,000", 0.25
    ),
    Target("the clients split over two nodes: CPU of each", "≤ 60 % of one node's", _two_nodes),
)
