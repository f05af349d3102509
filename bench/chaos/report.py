"""From a chaos run to `chaos.json`, `chaos.md`, two plots and the section of docs/bench.md."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bench.chaos.run import Row
from bench.chaos.soak import Course
from bench.chaos.soak import table as soak_table
from bench.plots import THEMES
from bench.report import RESULTS, commit
from bench.sides import ROOT

PAGE = ROOT / "docs/bench.md"
LETTER, BARS, BAR, VALUE = 6.4, 390, 20, 90  # pixels: of a name's letter, of the longest bar, a bar's height, a time
SHOWN = (("all ready", "ready"), ("clients", "connected"), ("lanes", "lanes"))


def table(rows: Sequence[Row]) -> str:
    """Say what came of each fault."""
    lines = [
        "| fault | all ready | clients back | lanes owned | whole | cut off: away, median | broken promises |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(_seconds(value) for value in (row.ready, row.connected, row.lanes, row.whole, row.away))
        wrong = "; ".join(f"{what}: {count}" for what, count in row.wrong.items()) or "none"
        told = "".join(f"; told: {count} × {reason}" for reason, count in row.told.items())
        noticed = f" (noticed by all after {row.noticed} s)" if row.noticed is not None else ""
        lines.append(f"| {row.name}{noticed} | {times} | {wrong}{told} |")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return f"{value:.1f} s" if value is not None else "–"


def as_json(row: Row) -> dict[str, Any]:
    """Return what is kept of a row."""
    kept = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return kept | {
        "wrong": dict(row.wrong),
        "told": dict(row.told),
    }  # asdict makes another Counter of a Counter's items


def plot(rows: Sequence[Row], theme: str) -> str:
    """Draw how long it took until everything was ready, and until clients and lanes were back."""
    colours = THEMES[theme]
    side = round(LETTER * max(len(row.name) for row in rows)) + 16
    longest = max((value for row in rows for _, name in SHOWN if (value := getattr(row, name))), default=1.0)
    fills = (colours.ours, colours.theirs, colours.limit)
    parts, top = [], 30
    for number, ((title, _), fill) in enumerate(zip(SHOWN, fills, strict=True)):
        left = side + number * 110
        parts.append(f'<rect x="{left}" y="8" width="12" height="12" rx="2" fill="{fill}"/>')
        parts.append(f'<text x="{left + 18}" y="18" fill="{colours.faint}">{title}</text>')
    for row in rows:
        parts.append(
            f'<text x="{side - 8}" y="{top + 15}" fill="{colours.text}" text-anchor="end">{escape(row.name)}</text>'
        )
        for place, ((_, name), fill) in enumerate(zip(SHOWN, fills, strict=True)):
            value = getattr(row, name) or 0.0
            width = max(1.0, BARS * value / longest)
            parts.append(f'<rect x="{side}" y="{top + place * 6}" width="{width:.1f}" height="5" fill="{fill}"/>')
        slowest = max(getattr(row, name) or 0.0 for _, name in SHOWN)
        end = side + BARS * slowest / longest
        parts.append(f'<text x="{end + 6:.1f}" y="{top + 13}" fill="{colours.faint}">{slowest:.1f} s</text>')
        top += BAR + 6
    body = "".join(parts)
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    size = f'width="{side + BARS + VALUE}" height="{top + 8}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{body}</svg>\n'


def write(rows: Sequence[Row], left_out: Sequence[str], machine: Mapping[str, Any], started: float) -> None:
    """Write the results, and the part of docs/bench.md that shows them."""
    for theme in THEMES:
        (RESULTS / f"chaos-{theme}.svg").write_text(plot(rows, theme))
    missing = f" Left out here: {'; '.join(left_out)}." if left_out else ""
    found = {
        "left_out": list(left_out),
        "rows": [as_json(row) for row in rows],
        "good": all(row.good for row in rows),
    }
    _write("chaos", "The chaos run", found, table(rows), machine, started, missing)


def write_soak(
    courses: Mapping[str, Course], minutes: float, machine: Mapping[str, Any], started: float, *, whole: bool
) -> None:
    """Write what each process used, and the part of docs/bench.md that shows it."""
    found = {
        "minutes": minutes,
        "whole": whole,
        "courses": {name: dataclasses.asdict(course) for name, course in courses.items()},
    }
    about = f" {minutes:g} minutes; {'every' if whole else 'NOT every'} client got every message once."
    _write("soak", "The soak", found, soak_table(dict(courses)), machine, started, about)


def _write(
    name: str, title: str, found: dict[str, Any], shown: str, machine: Mapping[str, Any], started: float, more: str
) -> None:
    RESULTS.mkdir(exist_ok=True)
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started))
    head = {"date": date, "commit": commit(), "machine": dict(machine)}
    (RESULTS / f"{name}.json").write_text(json.dumps({**head, **found}, indent=1) + "\n")
    where = f"{machine['cores']} cores ({machine['cpu']}) that everything shares"
    load = f"load average {machine['load_average_at_start']} before"
    whole = f"{shown}\n\nRun {date} at commit {head['commit']}, on {where}; {load}.{more}\n"
    (RESULTS / f"{name}.md").write_text(f"# {title}\n\n{whole}")
    begin, end = f"<!-- {name}:begin, written by `make {name}` -->", f"<!-- {name}:end -->"
    before, found_begin, rest = PAGE.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if found_begin and found_end:
        PAGE.write_text(f"{before}{begin}\n\n{whole}\n{end}{after}")
