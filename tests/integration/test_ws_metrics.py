"""The page of metrics tells what a node gives, with the labels it gives, and nothing else."""

import asyncio
import re
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from mini_apps.embedded import EmbeddedValkey
from nodes import Cluster, metric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


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
    finally:
        await cluster.aclose()
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
        if family.name.startswith(("mini_apps_ws_", "mini_apps_bus_")) and not family.name.endswith("_created")
    }
    told = dict(re.findall(r"`(mini_apps_\w+)(?:\{(\w+)\})?`", PAGE.read_text()))
    assert told.keys() == families.keys()
    for name, family in families.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == ({told[name]} if told[name] else set()), name
