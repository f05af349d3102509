"""Opening Redis to look, and what to say where there is nothing to see."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from redis.exceptions import RedisError

from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.redis import opened
from shared.broker import UNREACHABLE, Broker, BrokerUnavailable
from shared.redact import protect
from shared.settings import Settings, enabled, load

EXIT_INTERRUPTED: Final = 130
OTHERS_LOOKED_AT: Final = 5_000  # keys, in search of other prefixes
OTHERS_SHOWN: Final = 5

Look = Callable[[Broker, Settings], Awaitable[None]]


def run(named: Path | None, look: Look) -> None:
    """Look at a deployment.

    Args:
        named: the settings file of the command line.
        look: prints what there is.

    Raises:
        Problem: Redis is not there, or went away.
    """
    settings = load(named)
    protect(*settings.secrets())
    try:
        asyncio.run(_run(settings, look))
    except KeyboardInterrupt:  # how people end `tail`
        raise SystemExit(EXIT_INTERRUPTED) from None
    except (*UNREACHABLE, RedisError, BrokerUnavailable) as error:
        raise Problem(f"Redis did not answer: {str(error).splitlines()[0] or type(error).__name__}") from None


async def _run(settings: Settings, look: Look) -> None:
    async with opened(settings.redis) as broker:
        await look(broker, settings)


def apps_of(settings: Settings, app: str) -> list[str]:
    """Return the app that was named, or all.

    Raises:
        Problem: there is no such app.
    """
    names = sorted(enabled(settings))
    if app and app not in names:
        raise Problem(f"there is no app {app!r} in the settings; there is {', '.join(names) or 'none'}", EXIT_USAGE)
    return [app] if app else names


def as_text(found: Any) -> None:
    """Print for programs."""
    print(json.dumps(found, indent=2, ensure_ascii=False))


async def nothing_here(broker: Broker) -> str:
    """Say that nothing lives under our prefix, and which other prefixes there are."""
    others = await _other_prefixes(broker)
    said = f"nothing runs under the prefix {broker.settings.prefix!r} of the Redis at {broker.address}"
    if others:
        return f"{said}; it holds deployments under {', '.join(others)}: see redis.prefix and --settings"
    return f"{said}; start one (mini-apps dev), name another by --settings, or `--port 8080` for a running `dev`"


async def _other_prefixes(broker: Broker) -> list[str]:
    """Find other deployments by their registers; looks at a bounded number of keys."""
    found: set[str] = set()
    looked = 0
    async for raw in broker.client.scan_iter("*:_:nodes", count=1000):
        found.add(raw.decode("utf-8", "replace").removesuffix(":_:nodes"))
        looked += 1
        if looked >= OTHERS_LOOKED_AT or len(found) > OTHERS_SHOWN:
            break
    return sorted(found - {broker.settings.prefix})[:OTHERS_SHOWN]
