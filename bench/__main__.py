"""`python -m bench`: measure, write `bench/results/` and the README's section."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import report, rows, scaling
from bench.measure import Notebook
from bench.processes import pin_self
from bench.rows import SHORT, Size
from bench.sides import ROOT, Site
from bench.tools import Toolbox, ToolsMissing, prepare
from mini_apps.embedded import EmbeddedValkey, NoServer

if TYPE_CHECKING:
    from collections.abc import Callable


LONGEST_SECONDS = 12 * 60  # no further repetition begins that would not end before
LESS_OFTEN = {"memory": 1, "growth": 2}  # rows that are long and vary little: repetitions at most


def measure_all(site: Site, broker: int, size: Size, repeat: int, only: list[str]) -> Notebook:
    """Run every row so many times, all sides in each turn, so that a noisy minute does not hit one side only."""
    notebook = Notebook()
    work: dict[str, Callable[[], None]] = {
        "broadcast": lambda: rows.broadcast(site, notebook, size),
        "echo": lambda: rows.echo(site, notebook, size),
        "rooms": lambda: rows.relay(site, notebook, size),
        "connect": lambda: rows.connects(site, notebook, size),
        "10,000": lambda: rows.personal_and_group(site, notebook, size, broker),
        "growth": lambda: rows.growth(site, notebook, size) if size.growth else None,
        "memory": lambda: rows.memory(site, notebook, size),
    }
    rows.first_logins(site, notebook, size)
    for turn in range(repeat):
        began = time.monotonic()
        print(f"-- {turn + 1} of {repeat}", flush=True)
        for name, run in work.items():
            if (not only or name in only) and turn < LESS_OFTEN.get(name, repeat):
                run()
        notebook.turns, ended = turn + 1, time.monotonic()
        if turn + 1 < repeat and ended - notebook.started + (ended - began) > LONGEST_SECONDS:
            print(f"-- no time for more than {turn + 1} repetitions", flush=True)
            break
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure speed and memory beside the peers.")
    parser.add_argument("--short", action="store_true", help="our side and the C limit only, small; writes nothing")
    parser.add_argument("--repeat", type=int, default=3, help="times everything is measured; the table has medians")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="only this row; writes nothing")
    arguments = parser.parse_args()
    whole = not (arguments.short or arguments.only)
    started = time.time()
    try:
        toolbox = prepare(peers=not arguments.short)
    except ToolsMissing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for peer, why in toolbox.missing.items():
        print(f"left out: {peer}: {why}", flush=True)
    machine = report.machine()
    cores = os.sched_getaffinity(0)
    pin_self()
    try:
        notebook = _with_broker(toolbox, arguments)
    except NoServer as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        os.sched_setaffinity(0, cores)
    print(f"measured in {(time.time() - started) / 60:.1f} minutes")
    if arguments.short:  # too small to judge anything by
        return 0
    found = report.gather(notebook, toolbox, machine, repeat=notebook.turns, started=started)
    print(f"\n{report.targets_table(found)}")
    if whole:
        report.write(found)
        scaling.write()
        print(f"written: {report.RESULTS.relative_to(ROOT)}/, the README's section and docs/scaling.md")
    return 0


def _with_broker(toolbox: Toolbox, arguments: argparse.Namespace) -> Notebook:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with EmbeddedValkey(folder) as broker:
            assert broker.process is not None
            site = Site(folder, broker.port, toolbox)
            site.write_files()
            size, repeat = (SHORT, 1) if arguments.short else (Size(), arguments.repeat)
            return measure_all(site, broker.process.pid, size, repeat, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
