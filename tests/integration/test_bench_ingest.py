"""The measurement of updates in small: every post is answered with 200 and stored."""

from pathlib import Path

from bench.ingest.__main__ import Bench
from mini_apps.embedded import EmbeddedValkey


async def test_every_post_that_is_measured_is_stored(own_valkey: EmbeddedValkey, tmp_path: Path) -> None:
    found = await Bench(tmp_path, own_valkey, 1_000).webhooks()  # raises where a count is wrong
    assert {"webhook_per_s", "webhook_p99_ms", "aiogram_webhook_per_s", "webhook_ratio"} <= found.keys()
