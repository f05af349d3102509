"""`python -m bench.chaos`: let everything go wrong, one thing after the other, and check every promise after each."""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import uvloop

from bench.chaos import report
from bench.chaos.faults import CLUSTER, PAIRS, SENTINEL, SINGLE, Fault
from bench.chaos.load import Size
from bench.chaos.run import Row, Run
from bench.chaos.site import Servers, Site
from bench.chaos.soak import Course, soak, table
from bench.processes import MeasurementFailed
from bench.report import machine
from bench.servers import ClusterSet, SentinelSet
from mini_apps.embedded import NoServer
from shared import log
from shared.lifecycle import raise_descriptor_limit
from shared.settings import LogSettings

DISK_MB = 4
FULL_SOAK_MINUTES = 30.0
COURSES: Sequence[tuple[type[Servers] | None, Sequence[Fault]]] = (
    (None, (*SINGLE, *PAIRS)),
    (SentinelSet, SENTINEL),
    (ClusterSet, CLUSTER),
)


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.chaos", description="Everything that can go wrong, under load.")
    parser.add_argument("--only", default="", help="faults whose name holds this text; writes nothing to bench/results")
    parser.add_argument("--clients", type=int, default=Size().clients)
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="no faults: see what it uses")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    log.configure(LogSettings(level="error"), process="chaos")
    if arguments.soak:
        return _soak(arguments.soak, Size(clients=arguments.clients))
    started, box = time.time(), machine()
    rows: list[Row] = []
    asked: list[str] = []
    try:
        for kind, faults in COURSES:
            chosen = [fault for fault in faults if arguments.only in fault.name]
            asked += [fault.name for fault in chosen]
            if chosen:
                rows += uvloop.run(_run(kind, chosen, Size(clients=arguments.clients), keep=arguments.keep))
    except (MeasurementFailed, NoServer, TimeoutError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    print(report.table(rows))
    if not arguments.only:
        report.write(rows, [name for name in asked if name not in {row.name for row in rows}], box, started)
        print("written: bench/results/chaos.json, chaos.md, the plots and the section of docs/bench.md")
    return 0 if all(row.good for row in rows) else 1


async def _run(kind: type[Servers] | None, faults: Sequence[Fault], size: Size, *, keep: bool) -> list[Row]:
    async with _site(size, kind, keep=keep) as site:
        run = Run(site, size, _say)
        await run.run(faults)
    for text in run.crowd.ledger.faults:
        _say(text)
    return run.rows


def _soak(minutes: float, size: Size) -> int:
    async def run() -> tuple[dict[str, Course], bool]:
        async with _site(size, keep=False) as site:
            return await soak(site, size, 60 * minutes, _say)

    started, box = time.time(), machine()
    try:
        courses, whole = uvloop.run(run())
    except (MeasurementFailed, NoServer) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(table(courses))
    print("every client has every message once" if whole else "NOT every client has every message once")
    if minutes >= FULL_SOAK_MINUTES:
        report.write_soak(courses, minutes, box, started, whole=whole)
        print("written: bench/results/soak.json, soak.md and the section of docs/bench.md")
    return 0 if whole and all(course.flat() for course in courses.values()) else 1


@contextlib.asynccontextmanager
async def _site(size: Size, kind: type[Servers] | None = None, *, keep: bool) -> AsyncIterator[Site]:
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        if keep:
            _say(f"logs in {folder}")
        else:
            stack.callback(shutil.rmtree, folder)
        disk = stack.enter_context(small_disk(folder / "disk"))
        servers = kind(folder / "servers") if kind else None
        if servers is not None:
            stack.enter_context(servers)
        async with Site(folder, disk, size.chats, servers).running() as site:
            yield site


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes where we may make one, else a folder."""
    folder.mkdir()
    mounted = False
    if os.geteuid() == 0:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "chaos", str(folder)]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
