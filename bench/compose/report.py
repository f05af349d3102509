"""From a compose run to `compose.json` and `compose.md`."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.churn.ledger import percentiles
from bench.compose.run import Run
from bench.report import RESULTS, commit

EXPLAINED = """Seconds that somebody was without it, and until the container was healthy again. After `docker kill` of
one of several it stays down until the others are seen to do without, then it is started; an only one at once.
After a crash, which is its process being killed, the engine starts it again."""


def gather(run: Run, box: Mapping[str, Any], engine: Mapping[str, str], started: float) -> dict[str, Any]:
    """Put everything that is worth keeping into one JSON object."""
    seen, course = run.ledger, run.course
    wrong = {"gaps": seen.gaps, "duplicates": seen.duplicates, "missing": course.missing}
    leaked = {place.name: sorted(place.found) for place in course.places if place.found}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "commit": commit(),
        "machine": dict(box),
        "engine": dict(engine),
        "clients": len(run.members),
        "image_mb": {name: round(size / 1e6, 1) for name, size in course.sizes.items()},
        "published": course.published,
        "repeated": course.repeated,
        "deliveries": seen.delivered,
        **wrong,
        "told": dict(seen.told),
        "resyncs": seen.resyncs,
        "shut_out": seen.shut_out,
        "errors": dict(seen.errors),
        "reconnects": dict(seen.reconnects),
        "away_ms": {why: percentiles(seconds) for why, seconds in seen.away.items()},
        "seconds": course.times,
        "recoveries": [
            {k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(r).items()} for r in course.recoveries
        ],
        "usual": course.usual,
        "uncrashed": course.uncrashed,
        "memory": course.memory,
        "secrets": course.secrets,
        "places": {place.name: place.size for place in course.places},
        "leaked": leaked,
        "whole": not any(wrong.values()) and not seen.told and not seen.shut_out and not leaked,
    }


def page(found: Mapping[str, Any]) -> str:
    """Say it all in words and tables."""
    image = found["image_mb"]
    engine, box = found["engine"], found["machine"]
    told = ", ".join(f"{reason}: {count}" for reason, count in found["told"].items()) or "0"
    rows = [
        ("image, above its base", f"{image['image']:.0f} MB, {image['image'] - image['base']:.0f} MB"),
        ("messages published, posts repeated", f"{found['published']:,}, {found['repeated']:,}"),
        (f"deliveries checked by {found['clients']} clients", f"{found['deliveries']:,}"),
        ("messages missing, again or out of order", f"{found['gaps'] + found['missing']:,}, {found['duplicates']:,}"),
        ("clients told that they missed something in a room", told),
        ("clients told to look anew at what has no history", f"{found['resyncs']:,}"),
        *((f"came back: {why}", _away(found, why)) for why in sorted(found["reconnects"])),
        *((what, f"{seconds:.1f} s") for what, seconds in found["seconds"].items()),
        ("secrets looked for, bytes looked through", f"{found['secrets']}, {sum(found['places'].values()):,}"),
        ("secrets found", ", ".join(found["leaked"]) or "0"),
    ]
    about = (
        f"Run {found['date']} at commit {found['commit']}, Docker {engine['docker']}, Compose {engine['compose']}"
        f"{engine['images']}, on {box['cores']} cores ({box['cpu']}) that everything shares; the load average was "
        f"{box['load_average_at_start']:.0f} before it began."
    )
    usual = ", ".join(f"{what} {seconds:g} s" for what, seconds in found["usual"].items())
    parts = [
        "# The compose run",
        "\n".join(["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]),
        f"{EXPLAINED} Before, the slowest try took: {usual}.",
        _recoveries(found["recoveries"]),
        *(
            [f"Not crashed, since the engine's processes are not ours: {', '.join(found['uncrashed'])}."]
            if found["uncrashed"]
            else []
        ),
        "Memory under this load, of its limit:",
        "\n".join(
            ["| container | memory |", "|---|---|", *(f"| {n} | {m} |" for n, m in sorted(found["memory"].items()))]
        ),
        about,
    ]
    return "\n\n".join(parts) + "\n"


def _recoveries(rows: list[dict[str, Any]]) -> str:
    lines = ["| service | how | page | login | bot | container |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (f"{row[name]:.1f}" if row[name] else "–" for name in ("page", "login", "bot", "ready"))
        lines.append(f"| {row['service']} | {row['how']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _away(found: Mapping[str, Any], why: str) -> str:
    times = found["away_ms"][why]
    return (
        f"{found['reconnects'][why]:,}; away {' / '.join(f'{times[name]:,.0f}' for name in ('p50', 'p99', 'max'))} ms"
    )


def write(found: Mapping[str, Any]) -> None:
    """Write the results."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "compose.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "compose.md").write_text(page(found))
