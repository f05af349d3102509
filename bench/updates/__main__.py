"""`python -m bench.updates`: kill everything once while 20,000 updates come in, and write what became of them."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.processes import MeasurementFailed
from bench.report import RESULTS, commit, machine
from bench.updates.deployment import Mode
from bench.updates.run import Course, Proof, Size
from mini_apps.embedded import EmbeddedValkey, NoServer
from shared import log
from shared.settings import LogSettings

MODES: tuple[Mode, ...] = ("polling", "webhook")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.updates", description="Updates while everything is killed once.")
    parser.add_argument("--updates", type=int, default=Size().updates)
    parser.add_argument("--chats", type=int, default=Size().chats)
    parser.add_argument("--keep", action="store_true", help="keep logs and diaries; writes nothing to bench/results")
    arguments = parser.parse_args()
    log.configure(LogSettings(level="error"), process="bench")  # what dies is noticed, and told in one line
    size, started = Size(arguments.updates, arguments.chats), time.time()
    try:
        courses = [_run(size, mode, keep=arguments.keep) for mode in MODES]
    except (MeasurementFailed, NoServer) as error:
        print(f"updates: {error}", file=sys.stderr)
        return 1
    found = gather(courses, size, started)
    print(table(found))
    if size == Size() and not arguments.keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "updates.json").write_text(json.dumps(found, indent=1) + "\n")
        about = f"Run {found['date']} at commit {found['commit']}, everything on {found['machine']['cores']} cores."
        (RESULTS / "updates.md").write_text(f"# The proof run of updates\n\n{table(found)}\n\n{about}\n")
        print("written: bench/results/updates.json, updates.md")
    return 0 if all(course.verdict.good for course in courses) else 1


def _run(size: Size, mode: Mode, *, keep: bool) -> Course:
    with contextlib.ExitStack() as stack:
        if keep:
            name = tempfile.mkdtemp(prefix=f"updates-{mode}-")
            print(f"logs in {name}")
        else:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="updates-"))
        folder = Path(name)
        valkey = stack.enter_context(EmbeddedValkey(folder, durable=True))
        return uvloop.run(Proof(size, mode, folder, valkey, lambda line: print(line, flush=True)).run())


def gather(courses: list[Course], size: Size, started: float) -> dict[str, Any]:
    """Put everything that is worth keeping into one JSON object."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "commit": commit(),
        "machine": dict(machine()),
        "updates": size.updates,
        "chats": size.chats,
        "modes": {course.mode: _course(course) for course in courses},
    }


def _course(course: Course) -> dict[str, Any]:
    verdict = course.verdict
    return {
        "seconds": round(course.seconds, 1),
        "missing": len(verdict.missing),
        "out_of_order": len(verdict.backwards) + len(verdict.overlapping),
        "repeated_after_ack": len(verdict.unexcused),
        "faults": [
            {
                "killed": fault.what,
                "waiting": len(fault.waiting),
                "repeated": verdict.repeats[fault.what],
                "on_after_seconds": fault.seconds,
            }
            for fault in course.faults
        ],
    }


def table(found: dict[str, Any]) -> str:
    """Say what became of the updates."""
    modes = found["modes"]
    lines = [
        f"| {found['updates']:,} updates of {found['chats']} chats | {' | '.join(modes)} |",
        "|---" * (len(modes) + 1) + "|",
    ]
    for name, what in (
        ("missing", "updates whose hook did not run to its end"),
        ("out_of_order", "out of order within a chat"),
        ("repeated_after_ack", "run again though acknowledged"),
        ("seconds", "seconds of the run"),
    ):
        lines.append(f"| {what} | " + " | ".join(f"{mode[name]:,}" for mode in modes.values()) + " |")
    for at in range(3):
        cells = [
            f"{fault['killed']}: {fault['repeated']} in flight ran again, on after {fault['on_after_seconds']} s"
            for fault in (mode["faults"][at] for mode in modes.values())
        ]
        lines.append(f"| kill {at + 1} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
