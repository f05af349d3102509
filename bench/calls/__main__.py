"""`python -m bench.calls rate|everybody`: run it and write `bench/results/`."""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from bench.calls import everybody, rate, report
from bench.processes import MeasurementFailed
from bench.report import machine
from mini_apps.embedded import EmbeddedValkey, NoServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.calls", description="The bot's rate limit, and broadcasts.")
    parser.add_argument("run", choices=["rate", "everybody"])
    parser.add_argument("--seconds", type=float, default=rate.Size().seconds, help="of each part of `rate`")
    parser.add_argument("--people", type=int, default=everybody.Size().people, help="of `everybody`")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="calls-") as name:
            folder = Path(name)
            if arguments.run == "rate":
                return _rate(arguments.seconds, folder)
            return _everybody(arguments.people, folder)
    except (MeasurementFailed, NoServer) as error:
        print(f"calls: {error}", file=sys.stderr)
        return 1


def _rate(seconds: float, folder: Path) -> int:
    box, found = machine(), []
    sizes = [rate.Size(seconds=seconds), rate.Size(seconds=seconds, asked=10.0, broadcast=True)]
    for at, size in enumerate(sizes):
        (own := folder / str(at)).mkdir()
        with EmbeddedValkey(own) as broker:
            found.append(uvloop.run(rate.measure(size, own, broker.url)))
    told = report.of_rate(sizes, found)
    table = report.rate_table(told)
    print(table)
    if seconds == rate.Size().seconds:
        report.write("bench-calls", "The rate limit", told, table, box)
    return 0 if told["kept"] else 1


def _everybody(people: int, folder: Path) -> int:
    box, size = machine(), everybody.Size(people=people)
    with EmbeddedValkey(folder, durable=True) as broker:
        told = report.of_everybody(size, uvloop.run(everybody.run(size, folder, broker.url)))
    table = report.everybody_table(told)
    print(table)
    if size == everybody.Size():
        report.write("broadcast-run", "The broadcast run", told, table, box)
    return 0 if told["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
