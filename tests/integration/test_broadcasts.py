"""Broadcast jobs: everybody once, in a real worker against the local Telegram."""

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest
from sqlalchemy import insert

from bot_rig import ROOT, rig
from mini_apps.audience import Audience
from mini_apps.broadcast_jobs import BroadcastJobs, JobRefused
from mini_apps.database import Database
from mini_apps.models import AudienceMember
from sandbox.crowd import Crowd
from sandbox.faults import Fault
from shared.bus import Bus
from support import eventually

FIRST = 1_000_000


@pytest.fixture
async def deployment(broker, tmp_path):
    async with rig(broker, tmp_path) as made:
        yield made


class Desk:
    """What a test does with jobs."""

    def __init__(self, rig, jobs, database):
        self.rig, self.jobs, self.database = rig, jobs, database
        self.audience = Audience(database)

    async def over(self, id):
        async def look():
            job = await self.jobs.get(id)
            return job if job.over else None

        return await eventually(look, seconds=300, what="the end of the broadcast")

    async def reaches(self, id, **least):
        async def look():
            job = await self.jobs.get(id)
            return job if all(getattr(job, name) >= many for name, many in least.items()) else None

        return await eventually(look, seconds=300, what=f"{least}")

    @property
    def got(self):
        return self.rig.bot().crowd.summary()["got"]


@contextlib.asynccontextmanager
async def serving(deployment, people, *, blocked_every=0, **limits):
    telegram = {"api-server": deployment.sandbox, "send-per-second": 0, "send-per-chat": 0, **limits}
    deployment.bot().crowd = Crowd(FIRST, people, blocked_every)
    async with deployment.worker(telegram=telegram), Bus(deployment.broker, "desk") as bus:
        settings = deployment.settings(telegram=telegram)
        database = Database(settings.database.url.get_secret_value(), deployment.path)
        rows = [{"app": "bot", "telegram_id": FIRST + at, "since": 0, "blocked_at": None} for at in range(people)]
        async with database.session() as session:
            await session.execute(insert(AudienceMember), rows)
            await session.commit()
        try:
            yield Desk(deployment, BroadcastJobs(bus, deployment.keys), database)
        finally:
            await database.aclose()


async def test_everybody_gets_it_once_and_who_has_blocked_the_bot_is_left_out_from_then_on(deployment):
    async with serving(deployment, 450, blocked_every=10) as desk:
        first = await desk.jobs.create("sendMessage", {"text": "<b>news</b>", "parse_mode": "HTML"}, 450)
        second = await desk.jobs.create("sendMessage", {"text": "more", "disable_notification": True}, 405)
        job = await desk.over(first)
        assert (job.state, job.sent, job.blocked, job.failed, job.unknown) == ("done", 405, 45, 0, 0)
        assert job.started >= job.created > 0
        assert job.ended >= job.started
        assert await desk.audience.count("bot") == 405
        job = await desk.over(second)
        assert (job.sent, job.blocked) == (405, 0)
        assert desk.got == {"0": 45, "2": 405}
        assert [job.id for job in await desk.jobs.all()] == [second, first]
        assert await desk.rig.broker.client.zcard(desk.rig.keys.broadcasts_due) == 0


async def test_who_is_banned_is_left_out(deployment):
    async with serving(deployment, 250) as desk:
        banned = [FIRST, FIRST + 199, FIRST + 249, *range(FIRST + 20, FIRST + 40)]
        await desk.rig.broker.client.sadd(desk.rig.keys.banned, *map(str, banned))
        job = await desk.over(await desk.jobs.create("sendMessage", {"text": "news"}, 250))
        assert (job.state, job.sent, job.unknown) == ("done", 250 - len(banned), 0)
        assert desk.got == {"0": len(banned), "1": 250 - len(banned)}


async def test_a_flood_wait_and_a_dead_line_cost_nobody_the_message(deployment):
    async with serving(deployment, 50) as desk:
        for fault in (Fault("flood", chat=FIRST + 7, seconds=1), Fault("reset", method="sendMessage", times=1)):
            deployment.bot().faults.add(fault)
        job = await desk.over(await desk.jobs.create("sendMessage", {"text": "news"}, 50))
        assert job.sent + job.unknown == 50
        assert job.unknown == len(await desk.jobs.unknown(job.id)) <= 1
        assert desk.got.get("0", 0) == job.unknown


async def test_pause_resume_and_cancel(deployment):
    async with serving(deployment, 3_000, **{"send-per-second": 100}) as desk:
        id = await desk.jobs.create("sendMessage", {"text": "news"}, 3_000)
        with pytest.raises(JobRefused, match=r"is (waiting|running)"):
            await desk.jobs.resume(id)
        await desk.reaches(id, sent=20)
        assert (await desk.jobs.pause(id)).state == "paused"
        open_key = desk.rig.keys.broadcast_open(id)

        async def settled():
            before = await desk.jobs.get(id)
            await asyncio.sleep(1.2)  # longer than the worker looks away
            return before if before == await desk.jobs.get(id) else None

        paused = await eventually(settled, seconds=300)
        assert paused.sent < 3_000
        assert await desk.rig.broker.client.hlen(open_key) <= 300
        await desk.jobs.resume(id)
        await desk.reaches(id, sent=paused.sent + 20)
        with pytest.raises(JobRefused, match="is running"):
            await desk.jobs.resend_unknown(id)
        assert (await desk.jobs.cancel(id)).ended > 0
        cancelled = await eventually(settled, seconds=300)
        assert (cancelled.state, cancelled.sent < 3_000) == ("cancelled", True)
        assert "2" not in desk.got
        with pytest.raises(JobRefused, match="is cancelled"):
            await desk.jobs.resume(id)
        with pytest.raises(JobRefused, match="no broadcast 'none'"):
            await desk.jobs.cancel("none")


async def test_a_message_telegram_does_not_want_is_paused_and_says_why(deployment):
    async with serving(deployment, 200) as desk:
        job = await desk.over(await desk.jobs.create("sendMessage", {"text": "<b", "parse_mode": "HTML"}, 200))
        assert (job.state, job.sent) == ("paused", 0)
        assert job.reason.startswith("Telegram refuses it: Bad Request: can't parse entities")
        assert 20 <= job.failed <= 30


async def test_who_is_unknown_is_listed_and_sent_to_again_only_when_asked(deployment):
    async with serving(deployment, 30) as desk:
        deployment.bot().faults.add(Fault("error", method="sendMessage", times=3))
        id = await desk.jobs.create("sendMessage", {"text": "news"}, 30)
        job = await desk.over(id)
        unknown = await desk.jobs.unknown(id)
        assert (job.state, job.sent, job.unknown, len(unknown)) == ("done", 27, 3, 3)
        assert desk.got == {"0": 3, "1": 27}
        assert await desk.jobs.resend_unknown(id) == 3
        job = await desk.over(id)
        assert (job.state, job.sent, job.unknown, job.round) == ("done", 30, 0, 1)
        assert desk.got == {"1": 30}
        assert await desk.jobs.resend_unknown(id) == 0


async def test_whose_claims_may_be_forgotten_is_unknown_not_sent_to_twice(deployment):
    async with serving(deployment, 10) as desk:
        id = await desk.jobs.create("sendMessage", {"text": "news"}, 10)
        await desk.over(id)
        client, keys = desk.rig.broker.client, desk.rig.keys
        await client.hset(keys.broadcast_open(id), str(FIRST + 3), 0)
        await client.hset(keys.broadcast(id), mapping={"state": "paused", "handed": 1})
        await desk.jobs.resume(id)
        job = await desk.over(id)
        assert (job.state, job.unknown, await desk.jobs.unknown(id)) == ("done", 1, [FIRST + 3])
        assert desk.got == {"1": 10}


async def test_two_workers_do_not_both_send_and_the_next_goes_on_after_a_stop(deployment):
    async with serving(deployment, 2_000, **{"send-per-second": 200}) as desk:
        id = await desk.jobs.create("sendMessage", {"text": "news"}, 2_000)
        await desk.reaches(id, sent=50)
        lease = await desk.rig.broker.client.get(desk.rig.keys.broadcasts_lease)
    assert lease is not None
    limits = {"api-server": deployment.sandbox, "send-per-second": 0, "send-per-chat": 0}
    async with deployment.worker(telegram=limits), Bus(deployment.broker, "desk") as bus:
        job = await Desk(deployment, BroadcastJobs(bus, deployment.keys), desk.database).over(id)
    assert (job.state, job.sent + job.unknown) == ("done", 2_000)
    assert job.unknown == 0, "a worker that stops in good order brings what it began to its end"
    assert deployment.bot().crowd.summary()["got"] == {"1": 2_000}


async def test_jobs_that_cannot_be(deployment):
    async with Bus(deployment.broker, "desk") as bus:
        jobs = BroadcastJobs(bus, deployment.keys)
        for fields, text in (({"chat_id": 1}, "chat_id"), ({"text": object()}, "'text'")):
            with pytest.raises(JobRefused, match=text):
                await jobs.create("sendMessage", fields, 0)
        assert await jobs.get("none") is None
        assert await jobs.all() == []


def on_a_terminal(deployment, *words):
    """Run `mini-apps broadcast …` on a terminal and return what it shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(**_command(deployment, words), stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux tells that the other end is closed
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def command(deployment, *words, expect=0):
    """Run `mini-apps broadcast …` into a pipe."""
    done = subprocess.run(**_command(deployment, words), check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def _command(deployment, words):
    settings = str(deployment.path / "settings.json")
    arguments = [sys.executable, "-m", "mini_apps", "broadcast", *words, "--settings", settings]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    return {"args": arguments, "env": env, "cwd": deployment.path}


async def test_the_command_line(deployment):
    async def run(*words, expect=0):
        return await asyncio.to_thread(command, deployment, *words, expect=expect)

    async with serving(deployment, 120, blocked_every=60) as desk:
        told = await run("--text", "news", "--app", "bot")
        assert "to 120 people" in told
        assert "120/120 (100%), sent 118, blocked 2, done" in told
        assert "\r" not in told, "plain lines where there is no terminal"
        (job,) = await desk.jobs.all()
        assert json.loads(json.dumps(dict(job.fields))) == {"text": "news", "parse_mode": "HTML"}
        assert f"{job.id}  " in await run("list")
        assert "118" in await run("show", job.id)
        assert "broadcast none" not in await run("pause", job.id, expect=1)
        assert "is done" in await run("resume", job.id, expect=1)
        assert "nobody is unknown" in await run("resume", job.id, "--resend-unknown")
        assert "there is no broadcast 'x'" in await run("cancel", "x", expect=1)
        assert "say something" in await run(expect=2)
        told = await run("--text", "<b>look</b>", "--photo", "no-file", "--paid")
        assert "paused" in told
        assert "reason: Telegram refuses it: Bad Request: wrong file identifier" in told
        job = (await desk.jobs.all())[0]
        assert (job.method, job.fields["caption"]) == ("sendPhoto", "<b>look</b>")
        assert job.fields["allow_paid_broadcast"] == "true"
        shown = await asyncio.to_thread(on_a_terminal, deployment, "--text", "more")
        assert "\r[" in shown
        assert f"[{'#' * 24}] 118/118 (100%), sent 118, done" in shown
