"""The rate run in small: three workers are asked for more than they may send, and Telegram refuses nothing."""

from pathlib import Path

from bench.calls.rate import OVERALL, Size, measure
from mini_apps.embedded import EmbeddedValkey

SMALL = Size(workers=3, seconds=6.0, warm=0.0, asked=8.0, broadcast=True)


async def test_three_workers_use_the_limit_and_telegram_refuses_nothing(
    valkey: EmbeddedValkey, prefix: str, tmp_path: Path
) -> None:
    found = await measure(SMALL, tmp_path, valkey.url, prefix)
    assert (found.refused, found.limited) == ({}, {})
    assert found.sent <= OVERALL * (found.seconds + 1) + OVERALL / 2
    assert found.sent > found.answers > 0, "the broadcast got through too"
