"""The life of a process, with real processes and signals."""

import asyncio
import contextlib
import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, sys
from shared import lifecycle
from shared.broker import BrokerUnfit
from shared.lifecycle import Process, StartError

def say(text):
    print(text, flush=True)

async def polite(process):
    process.started()
    say("up")
    await process.stopping.wait()
    say("draining " + str(process.troubles()))
    await asyncio.sleep(0.2)
    say("drained")

async def reads_again(process):
    process.started()
    say("up")
    await process.reread.wait()
    say("drain nothing, read again")
    await process.stopping.wait()

async def starting(process):
    say("up")
    try:
        await asyncio.sleep(60)
    finally:
        say("tidied")

async def stubborn(process):
    process.started()
    say("up")
    await process.stopping.wait()
    say("draining")
    await asyncio.sleep(60)

async def refuses(process):
    raise StartError("the port is taken; choose another")

async def refuses_in_a_group(process):
    async with asyncio.TaskGroup() as group:
        group.create_task(refuses(process))
        group.create_task(asyncio.sleep(60))

async def unfit(process):
    raise BrokerUnfit("Redis is too old")

async def crashes(process):
    process.started()
    raise ValueError("a bug")

async def descriptors(process):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    print("limits", soft, hard, flush=True)

async def ends(process):
    process.started()

sys.exit(lifecycle.run(globals()[sys.argv[1]], "test", drain_seconds=float(sys.argv[2])))
"""


class Child:
    """A process that runs one of the functions above."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Return the next line it prints (log lines left out)."""
        assert self.process.stdout is not None
        while line := await asyncio.wait_for(self.process.stdout.readline(), 20):
            text = line.decode().strip()
            if text.startswith(("up", "drain", "tidied")):
                return text
        return ""

    async def end(self) -> tuple[int, str]:
        """Return the exit code and the rest of the output."""
        output, _ = await asyncio.wait_for(self.process.communicate(), 20)
        assert self.process.returncode is not None
        return self.process.returncode, output.decode()


@contextlib.asynccontextmanager
async def running(main: str, drain_seconds: float = 20, **options: Any) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        main,
        str(drain_seconds),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        **options,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_ends_with_zero(number: signal.Signals) -> None:
    async with running("polite") as child:
        assert await child.line() == "up"
        child.process.send_signal(number)
        assert await child.line() == "draining ['draining']"
        assert await child.line() == "drained"
        code, output = await child.end()
        assert code == 0
        assert "Traceback" not in output


async def test_a_hang_up_reads_again_and_the_end_of_the_terminal_stops() -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    async with running("reads_again", start_new_session=True, preexec_fn=take_terminal) as child:
        os.close(theirs)
        assert await child.line() == "up"
        child.process.send_signal(signal.SIGHUP)
        assert await child.line() == "drain nothing, read again"
        os.close(ours)  # as a terminal's window does; the kernel sends SIGHUP
        code, _ = await child.end()
        assert code == 0


async def test_a_second_signal_ends_at_once() -> None:
    async with running("stubborn") as child:
        assert await child.line() == "up"
        child.process.send_signal(signal.SIGTERM)
        assert await child.line() == "draining"
        child.process.send_signal(signal.SIGTERM)
        code, output = await child.end()
        assert code == 130
        assert "second signal" in output


async def test_the_deadline_ends_a_drain_that_hangs() -> None:
    async with running("stubborn", 0.3) as child:
        assert await child.line() == "up"
        child.process.send_signal(signal.SIGTERM)
        assert await child.line() == "draining"
        code, output = await child.end()
        assert code == 1
        assert "deadline" in output


async def test_a_signal_during_the_start_tidies_up() -> None:
    async with running("starting") as child:
        assert await child.line() == "up"
        child.process.send_signal(signal.SIGTERM)
        assert await child.line() == "tidied"
        assert (await child.end())[0] == 0


@pytest.mark.parametrize(
    ("main", "text"),
    [
        ("refuses", "the port is taken; choose another"),
        ("refuses_in_a_group", "the port is taken; choose another"),
        ("unfit", "Redis is too old"),
    ],
)
async def test_what_the_operator_must_mend_is_one_line(main: str, text: str) -> None:
    async with running(main) as child:
        code, output = await child.end()
        assert code == 1
        assert len([line for line in output.splitlines() if line.strip()]) == 1
        assert text in output


async def test_a_bug_is_not_hidden() -> None:
    async with running("crashes") as child:
        code, output = await child.end()
        assert code == 1
        assert "ValueError: a bug" in output


async def test_an_end_of_its_own_is_clean() -> None:
    async with running("ends") as child:
        assert (await child.end())[0] == 0


async def test_a_process_uses_all_file_descriptors_it_may_have() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))  # as a shell would start it
    try:
        async with running("descriptors") as child:
            code, output = await child.end()
        assert (code, f"limits {hard} {hard}" in output) == (0, True), output
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
