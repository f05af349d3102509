"""A node tells what the page of metrics says, with the labels it says, and nothing else."""

import asyncio
from pathlib import Path
from urllib.request import urlopen

from metrics_table import differences, told
from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, metric


async def test_every_metric_is_on_the_page(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    try:
        node = await cluster.node()
        async with node.user(1) as page:
            await page.send(type="subscribe", channel="kept:a", offset=1, id=1)
            assert (await page.receive("joined"))["recovered"] is False
            await page.send(type="echo", value=1, id=2)
            await page.receive("reply")
        await page.closed()
        url = node.url.replace("ws://", "http://").replace("/ws", "/metrics")
        text = await asyncio.to_thread(lambda: urlopen(url).read().decode())
        assert await metric(node, "mini_apps_ws_logins_total", 'verdict="welcome"') == 1
        assert await metric(node, "mini_apps_ws_recoveries_total", 'outcome="too old"') == 1
        assert await metric(node, "mini_apps_ws_handler_seconds_count", 'app="chat"') == 1
        assert await metric(node, "mini_apps_bus_lag_seconds") > 0
        assert await metric(node, "mini_apps_ready") == 1
    finally:
        await cluster.aclose()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE mini_apps_ws_")}
    assert shown == {name for name in told() if name.startswith("mini_apps_ws_")}
    assert differences(text, "") == []
