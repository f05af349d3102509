"""`python -m bench.churn`: let clients come and go while nodes die, and write what they got to `bench/results/`."""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.churn import report
from bench.churn.run import Run, Size
from bench.processes import MeasurementFailed
from bench.report import machine
from mini_apps.embedded import EmbeddedValkey, NoServer
from shared.lifecycle import raise_descriptor_limit


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.churn", description="Clients that come and go while nodes die.")
    parser.add_argument("--clients", type=int, default=Size().clients)
    parser.add_argument("--messages", type=int, default=Size().messages)
    parser.add_argument("--seconds", type=float, default=Size().seconds)
    parser.add_argument("--keep", action="store_true", help="keep the nodes' logs; writes nothing to bench/results")
    arguments = parser.parse_args()
    size = Size(arguments.clients, arguments.messages, max(2, arguments.clients // 10), arguments.seconds)
    raise_descriptor_limit()
    try:
        found, faults = _run(size, keep=arguments.keep)
    except (MeasurementFailed, NoServer) as error:
        print(f"churn: {error}", file=sys.stderr)
        return 1
    print(report.table(found))
    for fault in faults:
        print(fault)
    if size == Size() and not arguments.keep:
        report.write(found)
        print("written: bench/results/churn.json, churn.md and the section of docs/bench.md")
    return 0 if found["exact"] else 1


def _run(size: Size, *, keep: bool) -> tuple[dict[str, object], list[str]]:
    started, box = time.time(), machine()
    with contextlib.ExitStack() as stack:
        if keep:
            name = tempfile.mkdtemp(prefix="churn-")
            print(f"logs in {name}")
        else:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="churn-"))
        folder = Path(name)
        with EmbeddedValkey(folder) as broker:
            run = Run(size, folder, broker.url, _say)
            uvloop.run(run.run())
        return report.gather(run, box, started), run.crowd.ledger.faults


if __name__ == "__main__":
    sys.exit(main())
