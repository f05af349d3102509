"""From what was measured to `results.json`, the tables, the plots and the README's section."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import plots
from bench.measure import Notebook
from bench.medians import Medians
from bench.sides import CHANNELS, LIMIT, OURS, PYTHON_SOCKETIO, ROOT, SOCKET_IO, WS
from bench.targets import TARGETS
from bench.tools import Toolbox

RESULTS = ROOT / "bench/results"
README = ROOT / "README.md"
BEGIN, END = "<!-- bench:begin, written by `make bench` -->", "<!-- bench:end -->"
SIDES = (OURS, LIMIT, WS.name, SOCKET_IO.name, PYTHON_SOCKETIO.name, CHANNELS.name)
FIGURES = (  # title, row, figure, format
    ("Broadcast to 1,000 clients, frames/s", "max", "frames_s", "{:,.0f}"),
    ("the same paced at 50,000 frames/s, p50 / p99 ms", "50k", "p50 p99", "{:.1f}"),
    ("the same paced at 200,000 frames/s, p50 / p99 ms", "200k", "p50 p99", "{:.1f}"),
    ("seconds behind after 4 s of that", "200k", "behind", "{:.1f}"),
    ("Echo through a handler, messages/s", "echo", "frames_s", "{:,.0f}"),
    ("Relay in 500 rooms of 2 on two nodes, frames/s", "rooms", "frames_s", "{:,.0f}"),
    ("its p50 / p99 ms", "rooms", "p50 p99", "{:.1f}"),
    ("Connects/s, ours with a validated login", "connect", "logins_s", "{:,.0f}"),
    ("Resident KB per idle connection, at 10,000", "memory", "kb", "{:.1f}"),
)


def machine() -> dict[str, Any]:
    """Describe the machine, without naming it."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def gather(
    notebook: Notebook, toolbox: Toolbox, described: Mapping[str, Any], *, repeat: int, started: float
) -> dict[str, Any]:
    """Put everything that is worth keeping into one JSON object."""
    medians = Medians(notebook.values)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "commit": commit(),
        "minutes": round((time.time() - started) / 60, 1),
        "repeat": repeat,
        "machine": dict(described),
        "peers": toolbox.versions,
        "left_out": toolbox.missing,
        "failed": notebook.failures,
        "targets": [target.judge(medians) for target in TARGETS],
        "medians": medians.all(),
        "values": notebook.values,
    }


def commit() -> str:
    """Return the commit that is measured."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def targets_table(found: Mapping[str, Any]) -> str:
    """Say for each target what was seen."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    lines = ["| work | target | seen | reached |", "|---|---|---|---|"]
    last = ""
    for target in found["targets"]:
        work = "" if target["work"] == last else target["work"]
        last = target["work"]
        lines.append(f"| {work} | {target['target']} | {target['seen']} | {words[target['reached']]} |")
    return "\n".join(lines)


def figures_table(found: Mapping[str, Any]) -> str:
    """Show the medians of every side."""
    sides = [side for side in SIDES if any(side in row for row in found["medians"].values())]
    lines = [f"| | {' | '.join(sides)} |", f"|---|{'---|' * len(sides)}"]
    for title, row, names, form in FIGURES:
        cells = [_cell(found["medians"].get(row, {}).get(side, {}), names.split(), form) for side in sides]
        if any(cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: Mapping[str, float], names: list[str], form: str) -> str:
    return " / ".join(form.format(figures[name]) for name in names if name in figures)


def _about(found: Mapping[str, Any]) -> str:
    box = found["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    cores = "one server core, load and broker on another"
    lines = [
        f"Measured {found['date']} at commit {found['commit']}; medians, repetitions: {found['repeat']}; {cores}.",
        f"Machine: {box['cpu']}, {box['cores']} cores, Linux {box['kernel']}, Python {box['python']}.",
        f"Peers: {peers or 'none'}.",
    ]
    lines += [f"Left out: {name}: {why}." for name, why in found["left_out"].items()]
    lines += [f"Failed: {failure}." for failure in found["failed"]]
    return "\n\n".join(lines)


def write(found: Mapping[str, Any]) -> None:
    """Write the results, the plots, and the part of the README that shows them."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    table = f"{targets_table(found)}\n\n{figures_table(found)}\n\n{_about(found)}\n"
    (RESULTS / "table.md").write_text(f"# Results\n\n{table}")
    for theme in plots.THEMES:
        (RESULTS / f"plot-{theme}.svg").write_text(plots.draw(found["medians"], theme))
    into_readme(table)


def into_readme(table: str) -> None:
    """Put the table and the plots between the README's markers."""
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"the README has no {BEGIN} … {END}, so it is left as it is")
        return
    picture = (
        '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="bench/results/plot-dark.svg">\n'
        '  <img alt="Our side beside its peers" src="bench/results/plot-light.svg">\n</picture>'
    )
    README.write_text(f"{before}{begin}\n\n{picture}\n\n{table}\n{end}{after}")
