"""`python -m bench.pixels`: let 2,000 clients paint at once, and write what they saw to `bench/results/`."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.calls.report import write
from bench.pixels.run import Size, exact, run
from bench.processes import MeasurementFailed
from bench.report import machine
from bench.tools import ToolsMissing
from mini_apps.embedded import EmbeddedValkey, NoServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.pixels", description="Clients that paint on the pixel board at once.")
    parser.add_argument("--clients", type=int, default=Size().clients)
    parser.add_argument("--each", type=int, default=Size().each, help="pixels that each paints")
    parser.add_argument("--rate", type=float, default=Size().rate, help="pixels a second of each")
    parser.add_argument("--nodes", type=int, default=Size().nodes)
    size = Size(**vars(parser.parse_args()))
    box = machine()
    try:
        with tempfile.TemporaryDirectory(prefix="pixels-") as name, EmbeddedValkey(Path(name)) as broker:
            found = run(size, Path(name), broker.url)
    except (MeasurementFailed, NoServer, ToolsMissing) as error:
        print(f"pixels: {error}", file=sys.stderr)
        return 1
    shown = table(found)
    print(shown)
    if size == Size():
        write("bench-pixels", "The pixel board", found, shown, box, shared_by="nodes, clients and broker")
        print("written: bench/results/bench-pixels.json, bench-pixels.md and the section of docs/bench.md")
    return 0 if exact(found) else 1


def table(found: Mapping[str, Any]) -> str:
    """Say what everybody saw, and how fast."""
    clients = found["connections"]
    cpu, waited = (
        " / ".join(f"{percent:.0f}%" for percent in found[name]) for name in ("cpu_percent", "waited_percent")
    )
    rows = [
        ("clients, nodes", f"{clients:,}, {found['nodes']}"),
        ("log in and load the board, all of them", f"{found['ready_seconds']:.1f} s"),
        ("pixels painted, refused or failed", f"{found['painted']:,}, {found['refused'] + found['errors']}"),
        ("clients that got every frame", f"{found['whole']:,}"),
        ("… and ended at the same board", f"{found['same']:,}"),
        ("… which is the one in Redis", "yes" if found["as_redis"] else "**no**"),
        ("pixels painted a second", f"{found['placements_s']:,.0f}"),
        ("frames to clients a second", f"{found['frames_s']:,.0f}"),
        ("pixels to clients a second", f"{found['pixels_s']:,.0f}"),
        ("from painting to being seen by the others, p50 / p99 / longest", _three(found)),
        ("time that the nodes ran", cpu),
        ("… and waited for a core that others had", waited),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def _three(found: Mapping[str, Any]) -> str:
    return f"{found['p50']:,.0f} / {found['p99']:,.0f} / {found['max']:,.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
