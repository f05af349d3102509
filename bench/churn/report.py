"""From a churn run to `churn.json`, `churn.md` and the section of docs/bench.md."""

import json
import time
from collections.abc import Mapping
from typing import Any

from bench.churn.ledger import percentiles
from bench.churn.run import Run
from bench.report import RESULTS, commit
from bench.sides import ROOT

PAGE = ROOT / "docs/bench.md"
BEGIN, END = "<!-- churn:begin, written by `make churn` -->", "<!-- churn:end -->"


def gather(run: Run, machine: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Put everything that is worth keeping into one JSON object."""
    seen, course, size = run.crowd.ledger, run.course, run.size
    wrong = {"gaps": seen.gaps, "duplicates": seen.duplicates, "missing": course.missing, "away": course.away}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "commit": commit(),
        "machine": dict(machine),
        "clients": size.clients,
        "channels": size.rooms + 1,
        "messages": run.crowd.published.total(),
        "publishes_repeated": run.crowd.repeated,
        "deliveries": seen.delivered,
        **wrong,
        "told": dict(seen.told),
        "shut_out": seen.shut_out,
        "errors": dict(seen.errors),
        "exact": not any(wrong.values()) and not seen.told and not seen.shut_out and course.exits == [0],
        "reconnects": seen.reconnects.total(),
        "reconnects_by": dict(seen.reconnects),
        "closes": {str(code): count for code, count in seen.closes.items()},
        "connects_refused": seen.refused,
        "away_ms": {why: percentiles(seconds) for why, seconds in seen.away.items()},
        "delay_ms": {**percentiles(seen.delays), "max": round(1000 * seen.longest, 1)},
        "seconds": course.times,
        "drained_exit": course.exits,
    }


def table(found: Mapping[str, Any]) -> str:
    """Say what the clients got, and how long they were away."""
    told = ", ".join(f"{reason}: {count}" for reason, count in found["told"].items()) or "0"
    rows = [
        ("clients, channels", f"{found['clients']:,}, {found['channels']:,}"),
        ("messages published, publishes repeated", f"{found['messages']:,}, {found['publishes_repeated']:,}"),
        ("deliveries checked", f"{found['deliveries']:,}"),
        ("messages missing, again or out of order", f"{found['gaps'] + found['missing']:,}, {found['duplicates']:,}"),
        ("clients told that they missed something", told),
        ("reconnects with a position", f"{found['reconnects']:,}"),
        *((f"… {why}", _away(found, why)) for why in sorted(found["reconnects_by"])),
        ("publish to arrival, p50 / p99 / longest of all", _three(found["delay_ms"])),
        *((what, f"{seconds:.1f} s") for what, seconds in found["seconds"].items()),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def _away(found: Mapping[str, Any], why: str) -> str:
    return f"{found['reconnects_by'][why]:,}; away {_three(found['away_ms'][why])}"


def _three(milliseconds: Mapping[str, float]) -> str:
    return f"{' / '.join(f'{milliseconds.get(name, 0):,.0f}' for name in ('p50', 'p99', 'max'))} ms"


def write(found: Mapping[str, Any]) -> None:
    """Write the results, and the part of docs/bench.md that shows them."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "churn.json").write_text(json.dumps(found, indent=1) + "\n")
    box = found["machine"]
    where = f"{box['cores']} cores ({box['cpu']}) that nodes, clients and broker share"
    load = f"the load average was {box['load_average_at_start']:.0f} before it began"
    about = f"Run {found['date']} at commit {found['commit']}, on {where}; {load}."
    whole = f"{table(found)}\n\n{about}\n"
    (RESULTS / "churn.md").write_text(f"# The churn run\n\n{whole}")
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        PAGE.write_text(f"{before}{begin}\n\n{whole}\n{end}{after}")
