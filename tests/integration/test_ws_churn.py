"""The churn run in small: clients come and go, one node is killed, one drained, and every message arrives once."""

from pathlib import Path

from bench.churn.run import Run, Size
from mini_apps.embedded import EmbeddedValkey

# Fewer messages a room than its history keeps, so that nobody is away for too long, however slow the machine.
SMALL = Size(clients=150, messages=1_500, rooms=30, seconds=4.0)


async def test_everybody_ends_with_every_message_once_though_nodes_die(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    run = Run(SMALL, tmp_path, valkey.url, print, prefix=prefix)
    await run.run()
    seen, course = run.crowd.ledger, run.course
    wrong = (seen.gaps, seen.duplicates, course.missing, course.away, seen.shut_out, dict(seen.told))
    assert wrong == (0, 0, 0, 0, 0, {}), seen.faults
    members = 10  # of each room
    posted = run.crowd.published
    assert seen.delivered == sum(n * (SMALL.clients if c == "hall" else members) for c, n in posted.items())
    assert seen.reconnects.total() > 2 * SMALL.clients  # each at least by the kill or the drain, and at the end
    assert seen.closes[4005] > 0
    assert course.exits == [0]
