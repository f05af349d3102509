"""`python -m bench.compose`: bring the deployment up, play through it, break it, and write down what was seen."""

import argparse
import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.compose import report
from bench.compose.engine import missing
from bench.compose.run import Run, Size
from bench.compose.stack import Stack, stand_in
from bench.processes import MeasurementFailed
from bench.report import machine
from mini_apps.embedded import free_port


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.compose", description="The compose files on a real engine.")
    parser.add_argument("--keep", action="store_true", help="leave the containers there, to look into them")
    parser.add_argument("--no-crashes", action="store_true", help="only `docker kill`, which halves the time")
    arguments = parser.parse_args()
    if trouble := missing():
        print(f"compose: not run: {trouble}; it needs Docker with Compose 2, see docs/deploy.md")
        return 0
    started, box = time.time(), machine()
    folder = Path(tempfile.mkdtemp(prefix="compose-run-"))
    stack = Stack(folder / "secrets", (free_port(), free_port(), free_port()))
    run = Run(stack, Size(crashes=not arguments.no_crashes), folder, _say)
    try:
        asyncio.run(_whole(run, stack, keep=arguments.keep))
    except MeasurementFailed as error:
        print(f"compose: {error}", file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:  # containers that run on need their secrets
            shutil.rmtree(folder)
    found = report.gather(run, box, _engine(), started)
    print(report.page(found))
    for fault in run.ledger.faults:
        print(fault)
    report.write(found)
    print("written: bench/results/compose.json and compose.md")
    return 0 if found["whole"] else 1


async def _whole(run: Run, stack: Stack, *, keep: bool) -> None:
    try:
        await run.run()
    except MeasurementFailed:
        print(await stack.troubles())
        raise
    finally:
        if keep:
            print(f"kept; to remove it: docker compose --project-name {stack.project} down --volumes")
        else:
            with contextlib.suppress(MeasurementFailed):  # what went wrong before is what matters
                await stack.down()


def _engine() -> dict[str, str]:
    def told(*command: str) -> str:
        return subprocess.run(["docker", *command], capture_output=True, text=True, check=False).stdout.strip()

    return {
        "docker": told("version", "--format", "{{.Server.Version}}"),
        "compose": told("compose", "version", "--short"),
        "images": " and base images that only carry the tags' names" if stand_in("postgres:17") else "",
    }


if __name__ == "__main__":
    sys.exit(main())
