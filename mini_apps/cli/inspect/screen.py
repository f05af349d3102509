"""What `mini-apps top` draws, from a snapshot and the size of the terminal."""

from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from mini_apps.cli.bots import status, told
from mini_apps.cli.inspect.nodes import ORDER, SLOW_MS
from mini_apps.cli.inspect.nodes import row as node_row
from mini_apps.cli.inspect.snapshot import AppNow, Snapshot
from mini_apps.cli.tables import shorten
from mini_apps.cli.view import BAD, DIM, GOOD, WORRY, Cell, ago, grid, number
from shared.nodes import Node

LATE_SECONDS: Final = 30.0
NODE_HEADS: Final = ("node", "kind", "state", "clients", "in/s", "out/s", "lag ms", "up", "version", "address")
NODE_WIDTHS: Final = ((118, 10), (88, 8), (60, 7), (0, 5))  # columns that fit from a terminal's width on
APP_HEADS: Final = ("app", "bot", "waiting", "lag", "oldest", "calls", "dead", "in lane", "workers", "why")
APP_WIDTHS: Final = ((100, 10), (76, 9), (56, 7), (0, 4))
MOST_LANES: Final = 8
FRAME_LINES: Final = 11  # heads, empty lines, what has no room, the line of keys


def draw(found: Snapshot, width: int, height: int, note: str = "") -> Group:
    """Return the whole screen.

    Args:
        found: what to draw.
        width: of the terminal, in characters.
        height: of the terminal, in lines; 0 where it does not matter.
        note: the last line.
    """
    apps = [_app_row(name, app, width) for name, app in found.apps.items()]
    lanes = _lanes(found)
    room = max(3, height - FRAME_LINES - len(apps) - min(len(lanes), MOST_LANES)) if height else len(found.nodes)
    parts: list[RenderableType] = [_summary(found, width), Text(), _nodes(found.nodes, width, room), Text()]
    columns = _columns(APP_WIDTHS, width)
    parts.append(grid(APP_HEADS[:columns], [row[:columns] for row in apps], right=("oldest", "lag", "calls", "dead")))
    if lanes:
        heads = ("app", "lane", "waiting", "lag", "in hooks", "oldest", "owner")
        parts += [Text(), grid(heads, lanes[:MOST_LANES], right=("oldest",))]
        if len(lanes) > MOST_LANES:
            parts.append(_more(len(lanes) - MOST_LANES, "lanes"))
    if note:
        parts += [Text(), Text(shorten(note, width), style=DIM, no_wrap=True)]
    return Group(*parts)


def plain(found: Snapshot) -> str:
    """Return the screen as text without colours, as wide as it needs to be."""
    console = Console(width=160, no_color=True, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(draw(found, 160, 0))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _summary(found: Snapshot, width: int) -> Text:
    kinds = [node.kind for node in found.nodes]
    clients = sum(node.connections for node in found.nodes)
    ws = [node for node in found.nodes if node.kind == "ws"]
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"mini-apps {found.prefix}", style="bold")
    text.append(f"  {datetime.fromtimestamp(found.taken).astimezone():%H:%M:%S}  ")
    for kind in ("gateway", "bot", "ws"):
        count = kinds.count(kind)
        text.append(f"{count} {kind}  ", style="" if count else BAD)
    text.append(f"{clients:,} clients  {number(sum(node.in_rate for node in ws))} in/s  ")
    text.append(f"{number(sum(node.out_rate for node in ws))} out/s  ")
    text.append(f"redis {found.redis_ms:.1f} ms", style=BAD if found.redis_ms > SLOW_MS else "")
    if width > len(text) + len(found.place):
        text.append(f"  {found.place}", style=DIM)
    return text


def _nodes(nodes: list[Node], width: int, room: int) -> RenderableType:
    columns = _columns(NODE_WIDTHS, width)
    ordered = sorted(nodes, key=lambda node: (ORDER.get(node.kind, 9), -node.connections, node.id))
    rows = [node_row(node)[:columns] for node in ordered[:room]]
    table = grid(NODE_HEADS[:columns], rows, right=("clients", "in/s", "out/s", "lag ms", "up"))
    return Group(table, _more(len(nodes) - room, "nodes")) if len(nodes) > room else table


def _more(count: int, what: str) -> Text:
    return Text(f"and {count} more: mini-apps inspect {what}", style=DIM, no_wrap=True, overflow="ellipsis")


def _app_row(name: str, app: AppNow, width: int) -> tuple[object, ...]:
    worst, backlog, lag = app.worst, app.backlog, app.sum("lag")
    late = worst is not None and worst.stream.oldest_seconds > LATE_SECONDS
    calls = sum(stream.waiting for stream in backlog.calls.values())
    return (
        name,
        status(app.bot),
        app.sum("waiting"),
        Cell(lag, WORRY if lag else ""),
        Cell(ago(worst.stream.oldest_seconds) if worst else "", BAD if late else ""),
        Cell(calls, WORRY if calls else ""),
        Cell(backlog.dead, BAD if backlog.dead else GOOD),
        worst.lane if worst else "",
        Cell(backlog.workers, "" if backlog.workers else WORRY),
        shorten(_why(app), max(20, width - 80)),
    )


def _why(app: AppNow) -> str:
    if app.backlog.changing:
        return f"its lanes are being changed: {app.backlog.changing}"
    if app.orphans and app.backlog.workers:
        return f"lanes without an owner: {app.orphans}"
    return told(app.bot)


def _lanes(found: Snapshot) -> list[tuple[object, ...]]:
    """Give the lanes in which something waits, the latest first."""
    waiting = [(name, lane) for name, app in found.apps.items() for lane in app.backlog.lanes if lane.stream.waiting]
    waiting.sort(key=lambda pair: -pair[1].stream.oldest_seconds)
    return [
        (
            name,
            lane.lane,
            lane.stream.waiting,
            lane.stream.lag,
            lane.stream.pending,
            Cell(ago(lane.stream.oldest_seconds), BAD if lane.stream.oldest_seconds > LATE_SECONDS else ""),
            lane.owner or Cell("nobody", BAD),
        )
        for name, lane in waiting
    ]


def _columns(widths: tuple[tuple[int, int], ...], width: int) -> int:
    return next(columns for least, columns in widths if width >= least)
