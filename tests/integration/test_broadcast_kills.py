"""The broadcast run in small: 2,000 people, two kills; nobody twice, nobody forgotten."""

from pathlib import Path

from bench.calls.everybody import Size, run
from mini_apps.embedded import EmbeddedValkey

SMALL = Size(people=2_000, blocked_every=50, kills=2, limits=False, slow=0.05)
BLOCKED = 40


async def test_nobody_gets_it_twice_and_nobody_is_forgotten_though_workers_are_killed(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    found = await run(SMALL, tmp_path, valkey.url, prefix)
    job = found.job
    assert job is not None
    assert (job.state, job.failed) == ("done", 0)
    assert job.blocked <= BLOCKED <= job.blocked + job.unknown
    assert job.sent + job.blocked + job.unknown == SMALL.people
    assert found.twice == []
    assert found.lost == [], "who got nothing is listed as unknown"
    assert 0 < job.unknown == len(found.unknown) <= 200
    assert found.got["1"] + found.got["0"] == SMALL.people
    assert found.got["0"] == BLOCKED + len(found.missed)
    # Who was refused to a worker that died before it counted that, and again to its successor that died too, is unknown
    # to the job though gone from the audience.
    assert job.blocked <= SMALL.people - found.kept <= BLOCKED
