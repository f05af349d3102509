"""`mini-apps broadcast`: write to everybody, and see how it goes."""

import asyncio
import sys
import time
from dataclasses import dataclass

from mini_apps.app import App
from mini_apps.broadcast_jobs import BroadcastJob, JobRefused
from mini_apps.cli.problem import Problem
from mini_apps.cli.progress import Pace, line
from mini_apps.cli.users import Action
from mini_apps.database import Database
from shared.updates import Overloaded

LOOK_SECONDS = 0.5
PLAIN_SECONDS = 5.0  # between two lines where the output is no terminal


@dataclass(frozen=True, slots=True)
class Message:
    """What shall be sent."""

    text: str
    parse_mode: str | None
    photo: str
    paid: bool


def starting(message: Message, *, wait: bool) -> Action:
    """Make the action that begins a broadcast, and follows it to its end."""

    async def action(app: App, _database: Database) -> None:
        try:
            mode, photo, paid = message.parse_mode, message.photo, message.paid
            id = await app.broadcast_job(message.text, parse_mode=mode, photo=photo, paid=paid)
        except (JobRefused, Overloaded) as error:
            raise Problem(str(error)) from None
        job = await _get(app, id)
        print(f"broadcast {id} to {job.total} people; a bot worker sends it, whether this command runs or not")
        if not job.total:
            print("nobody has written to the bot yet, or allowed it to write")
        if wait:
            await follow(app, id)

    return action


def showing(id: str, *, unknown: bool, wait: bool) -> Action:
    """Make the action that shows a broadcast."""

    async def action(app: App, _database: Database) -> None:
        job = await _get(app, id)
        if unknown:
            print("\n".join(map(str, await app.broadcast_jobs.unknown(id))))
            return
        print(f"broadcast {id}: {job.method} {dict(job.fields)}")
        if wait:
            await follow(app, id)
        else:
            _tell(job)

    return action


async def listing(app: App, _database: Database) -> None:
    """List the broadcasts, the newest first."""
    jobs = await app.broadcast_jobs.all()
    for job in jobs:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created))
        text = job.fields.get("text") or job.fields.get("caption") or job.method
        print(f"{job.id}  {made}  {line(job, 0.0, bar=False)}  {text[:40]!r}")
    if not jobs:
        print("no broadcasts are kept")


def changing(id: str, change: str) -> Action:
    """Make the action that pauses, resumes or cancels a broadcast."""

    async def action(app: App, _database: Database) -> None:
        changes = {
            "pause": app.broadcast_jobs.pause,
            "resume": app.broadcast_jobs.resume,
            "cancel": app.broadcast_jobs.cancel,
        }
        try:
            _tell(await changes[change](id))
        except JobRefused as error:
            raise Problem(str(error)) from None

    return action


def resending(id: str, *, wait: bool) -> Action:
    """Make the action that sends to those once more of whom nobody knows whether they got it."""

    async def action(app: App, _database: Database) -> None:
        try:
            many = await app.broadcast_jobs.resend_unknown(id)
        except JobRefused as error:
            raise Problem(str(error)) from None
        print(f"sending to {many} people once more; some of them may get it twice" if many else "nobody is unknown")
        if many and wait:
            await follow(app, id)

    return action


async def follow(app: App, id: str) -> None:
    """Show how far a broadcast is until it is over."""
    pace, terminal, told, text = Pace(), sys.stdout.isatty(), float("-inf"), ""
    while True:
        job = await _get(app, id)
        now = time.monotonic()
        speed = pace.note(now, job.done)
        if terminal:
            before, text = text, line(job, speed, bar=True)
            print("\r" + text.ljust(len(before)), end="", flush=True)
        elif not job.over and now - told >= PLAIN_SECONDS:
            print(line(job, speed, bar=False), flush=True)
            told = now
        if job.over:
            break
        await asyncio.sleep(LOOK_SECONDS)
    if terminal:
        print()
    _tell(job)


def _tell(job: BroadcastJob) -> None:
    print(line(job, 0.0, bar=False))
    if job.reason:
        print(f"reason: {job.reason}")
    if job.unknown:
        print(
            f"{job.unknown} were being sent when a worker ended, so nobody knows whether they arrived: "
            f"list them with `mini-apps broadcast show {job.id} --unknown`, "
            f"send again with `mini-apps broadcast resume {job.id} --resend-unknown`"
        )


async def _get(app: App, id: str) -> BroadcastJob:
    job = await app.broadcast_jobs.get(id)
    if job is None:
        raise Problem(f"there is no broadcast {id!r}; `mini-apps broadcast list` shows those there are")
    return job
