"""The plot of the README, as SVG by hand: a panel for each kind of work, a bar for each side."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from bench.sides import CHANNELS, LIMIT, OURS, PYTHON_SOCKETIO, SOCKET_IO, WS


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours for one background."""

    text: str
    faint: str
    ours: str
    theirs: str
    limit: str


THEMES = {
    "light": Theme("#1f2328", "#59636e", "#0969da", "#afb8c1", "#8c959f"),
    "dark": Theme("#f0f6fc", "#9198a1", "#4493f8", "#4b535d", "#6e7681"),
}
SIDES = (OURS, LIMIT, WS.name, SOCKET_IO.name, PYTHON_SOCKETIO.name, CHANNELS.name)
PANELS = (  # title, row, figure, format
    ("Broadcast, frames/s (more is better)", "max", "frames_s", "{:,.0f}"),
    ("Echo through a handler, messages/s (more)", "echo", "frames_s", "{:,.0f}"),
    ("Relay in rooms of 2 on two nodes, frames/s (more)", "rooms", "frames_s", "{:,.0f}"),
    ("Connects/s, ours with a validated login (more)", "connect", "logins_s", "{:,.0f}"),
    ("p99 ms at 50,000 frames/s (less is better)", "50k", "p99", "{:.1f}"),
    ("KB per idle connection (less)", "memory", "kb", "{:.1f}"),
)
WIDTH, COLUMN, BAR, TITLE, GAP, NAME, VALUE = 860, 420, 20, 26, 18, 112, 80

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]


def draw(medians: Figures, theme: str) -> str:
    """Return the plot.

    Args:
        medians: row, side, figure to value.
        theme: a key of `THEMES`.
    """
    colours = THEMES[theme]
    parts: list[str] = []
    heights = [0, 0]
    for number, (title, row, figure, form) in enumerate(PANELS):
        values = {side: medians[row][side][figure] for side in SIDES if figure in medians.get(row, {}).get(side, {})}
        if not values:
            continue
        column = number % 2
        parts += _panel(title, values, form, colours, 10 + column * COLUMN, 10 + heights[column])
        heights[column] += TITLE + BAR * len(values) + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{max(heights) + 10}" '
        f'font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>\n'
    )


def _panel(title: str, values: Mapping[str, float], form: str, colours: Theme, left: int, top: int) -> list[str]:
    room, largest = COLUMN - 30 - NAME - VALUE, max(values.values()) or 1
    parts = [f'<text x="{left}" y="{top + 14}" fill="{colours.text}" font-weight="600">{escape(title)}</text>']
    for number, (side, value) in enumerate(values.items()):
        y, width = top + TITLE + number * BAR, max(1.0, room * value / largest)
        colour = colours.ours if side == OURS else colours.limit if side == LIMIT else colours.theirs
        label = colours.text if side == OURS else colours.faint
        parts += [
            f'<text x="{left + NAME - 8}" y="{y + 11}" fill="{label}" text-anchor="end">{escape(side)}</text>',
            f'<rect x="{left + NAME}" y="{y}" width="{width:.1f}" height="{BAR - 6}" rx="2" fill="{colour}"/>',
            f'<text x="{left + NAME + width + 6:.1f}" y="{y + 11}" fill="{label}">{form.format(value)}</text>',
        ]
    return parts
