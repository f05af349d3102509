"""The chaos run in small: a node, a worker and Redis die under load, and every promise is kept."""

import json
from collections import Counter
from pathlib import Path

from bench.chaos.faults import killed, redis_killed
from bench.chaos.load import Size
from bench.chaos.report import as_json, plot, table
from bench.chaos.run import Row, Run
from bench.chaos.site import Site

SMALL = Size(clients=40, rooms=8, messages=20.0, chats=20, updates=20.0, pause=1.0)


async def test_every_promise_is_kept_though_processes_die(tmp_path: Path) -> None:
    folder, disk = tmp_path / "site", tmp_path / "disk"
    folder.mkdir()
    disk.mkdir()
    async with Site(folder, disk, SMALL.chats).running() as site:
        run = Run(site, SMALL, print)
        await run.run([killed("ws-1") & killed("worker-1"), redis_killed()])
        assert len(run.rows) == 2
        assert all(row.good for row in run.rows), (run.rows, run.crowd.ledger.faults)
        assert run.rows[0].away is not None, "somebody was on the node that died"
        assert run.rows[1].noticed is not None, "every process said that Redis was gone"
        assert run.crowd.ledger.delivered > SMALL.clients
        assert len(site.answers()) >= len(site.sent) - sum(row.unknown for row in run.rows) > 0


def test_a_row_is_kept_as_it_is() -> None:
    row = Row("a fault", ready=1.5, told=Counter({"unknown position": 20}))
    kept = json.loads(json.dumps(as_json(row)))
    assert (
        kept | {"name": "a fault", "ready": 1.5, "whole": None, "wrong": {}, "told": {"unknown position": 20}} == kept
    )
    assert "told: 20 × unknown position" in table([row])
    assert "a fault" in plot([row], "dark")


def test_a_row_is_good_only_when_all_came_back() -> None:
    row = Row("a fault", ready=1.0, connected=1.0, lanes=1.0, whole=None)
    assert not row.good
    row.whole = 1.0
    assert row.good
    row.wrong["messages missing"] = 1
    assert not row.good
