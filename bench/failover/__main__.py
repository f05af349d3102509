"""`python -m bench.failover`: let masters fail under load, count what was lost, and write bench/results."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from bench.failover.course import FAULTS, Course, Servers, run
from bench.report import RESULTS, commit, machine
from bench.servers import ClusterSet, SentinelSet
from mini_apps.embedded import NoServer
from shared import log
from shared.settings import LogSettings

BEFORE = 3.0  # seconds
HEADS = (
    "",
    "a master is",
    "confirmed by a replica",
    "lost",
    "acknowledged by the master alone",
    "lost",
    "failed; there all the same",
    "positions asked for",
    "that pretended",
    "longest without a confirmed write",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.failover", description="What a failover loses.")
    parser.add_argument("--rounds", type=int, default=3, help="of each fault on each topology")
    arguments = parser.parse_args()
    log.configure(LogSettings(level="error"), process="bench")
    started, courses = time.time(), []
    try:
        for kind in (SentinelSet, ClusterSet):
            with tempfile.TemporaryDirectory(prefix="failover-") as folder, kind(Path(folder)) as servers:
                courses += _rounds(servers, arguments.rounds)
    except (NoServer, TimeoutError) as error:
        print(f"failover: {error}", file=sys.stderr)
        return 1
    found = gather(courses, arguments.rounds, started)
    print(table(found))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "failover.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "failover.md").write_text(page(found))
    print("written: bench/results/failover.json, failover.md")
    return 0 if all(course.good for course in courses) else 1


def _rounds(servers: Servers, rounds: int) -> list[Course]:
    found: list[Course] = []
    for fault in FAULTS:
        for number in range(rounds):
            course = uvloop.run(run(servers, fault, prefix=f"f{len(found)}", before=BEFORE))
            print(f"{course.topology}, {fault}, {number + 1}: {'good' if course.good else 'NOT GOOD'}", flush=True)
            found.append(course)
    return found


def gather(courses: list[Course], rounds: int, started: float) -> dict[str, Any]:
    """Put everything that is worth keeping into one JSON object."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "commit": commit(),
        "machine": dict(machine()),
        "rounds": rounds,
        "courses": [asdict(course) for course in courses],
    }


def table(found: dict[str, Any]) -> str:
    """Say what was lost, one line for each fault on each topology."""
    lines = [
        "| " + " | ".join(HEADS) + " |",
        "|---" * len(HEADS) + "|",
    ]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for course in found["courses"]:
        groups.setdefault((course["topology"], course["fault"]), []).append(course)
    for (topology, fault), courses in groups.items():
        counts = {how: _sum(course["counts"][how] for course in courses) for how in ("confirmed", "acknowledged")}
        failed = sum(each["failed"] for each in counts.values())
        there = sum(each["failed_but_there"] for each in counts.values())
        cells = [
            f"{counts['confirmed']['done']:,}",
            f"**{counts['confirmed']['lost']:,}**",
            f"{counts['acknowledged']['done']:,}",
            f"{counts['acknowledged']['lost']:,}",
            f"{failed:,}; {there:,}",
            f"{sum(course['positions'] for course in courses):,}",
            f"**{sum(course['pretended'] + course['broken'] for course in courses):,}**",
            f"{max(course['outage'] for course in courses):.1f} s",
        ]
        lines.append(f"| {topology} | {fault} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sum(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, value in each.items():
            total[name] = total.get(name, 0) + value
    return total


def page(found: dict[str, Any]) -> str:
    """Return the page of the results."""
    about = (
        f"Run {found['date']} at commit {found['commit']}, everything on {found['machine']['cores']} cores "
        f"(load average {found['machine'].get('load_average_at_start', '?')} at the start); "
        f"{found['rounds']} rounds of each, summed up.\n\n"
        "`sentinel`: a master, two replicas, three sentinels. `cluster`: three masters, a replica each; one of them "
        "fails. Servers count as gone after 0.7 s; in a deployment with the usual 5 s or 15 s it takes that much "
        "longer until writing goes on. A write is a publish to a channel with history, or an update. `confirmed` is "
        "`redis.wait-replicas = 1`: told as done once a replica said that it has it. A position pretends if a client "
        "that comes back with it would be told something else than what is there."
    )
    return f"# What a failover loses\n\n{table(found)}\n\n{about}\n"


if __name__ == "__main__":
    sys.exit(main())
