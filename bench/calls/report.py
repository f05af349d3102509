"""From the runs to `calls.json`, `broadcast.json`, their tables, and the section of docs/bench.md."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.calls import everybody, rate
from bench.churn.ledger import percentiles
from bench.report import RESULTS, commit
from bench.sides import ROOT

PAGE = ROOT / "docs/bench.md"


def of_rate(sizes: Sequence[rate.Size], found: Sequence[rate.Found]) -> dict[str, Any]:
    """Put what the rate runs found into one JSON object."""
    rows = [
        {
            "workers": size.workers,
            "asked_per_second": size.asked,
            "broadcast": size.broadcast,
            "seconds": round(one.seconds, 2),
            "sent": one.sent,
            "allowed": round(rate.OVERALL * one.seconds),
            "used": round(one.used, 4),
            "refused": one.refused,
            "limited": one.limited,
            "answers": one.answers,
            "answer_ms": percentiles(one.delays),
        }
        for size, one in zip(sizes, found, strict=True)
    ]
    kept = all(one.used >= 0.95 and not one.refused for one in found)
    return {"rows": rows, "kept": kept}


def of_everybody(size: everybody.Size, found: everybody.Found) -> dict[str, Any]:
    """Put what the broadcast run found into one JSON object."""
    job = found.job
    assert job is not None
    exact = not found.twice and not found.lost and job.state == "done" and job.done == size.people
    return {
        "people": size.people,
        "kills": size.kills,
        "paid": size.limits,
        "seconds": round(found.seconds, 1),
        "per_second": round(size.people / found.seconds, 1),
        "sent": job.sent,
        "blocked": job.blocked,
        "failed": job.failed,
        "unknown": job.unknown,
        "got": found.got,
        "got_more_than_one": len(found.twice),
        "got_nothing_and_not_listed": len(found.lost),
        "unknown_who_got_it": len(set(found.unknown) - set(found.missed)),
        "refused": found.refused,
        "audience_before": size.people,
        "audience_after": found.kept,
        "seconds_after_a_kill": [round(seconds, 1) for seconds in found.away],
        "exact": exact,
    }


def rate_table(found: Mapping[str, Any]) -> str:
    """Say how much of the limit was used, and what was refused."""
    lines = ["| asked for | sent in | of allowed | used | 429 | answers, p50 / p99 |", "|---|---|---|---|---|---|"]
    for row in found["rows"]:
        asked = f"{row['asked_per_second']:g} answers/s" if row["asked_per_second"] else "more answers than allowed"
        asked += " and a broadcast" if row["broadcast"] else ""
        delays = " / ".join(f"{row['answer_ms'].get(name, 0):,.0f}" for name in ("p50", "p99"))
        lines.append(
            f"| {asked} | {row['sent']:,} in {row['seconds']:.0f} s | {row['allowed']:,} | {row['used']:.1%} "
            f"| {row['refused'].get('429', 0)} | {row['answers']:,}; {delays} ms |"
        )
    return "\n".join(lines)


def everybody_table(found: Mapping[str, Any]) -> str:
    """Say who got it."""
    rows = [
        ("people, workers killed", f"{found['people']:,}, {found['kills']}"),
        ("seconds; a second", f"{found['seconds']:,.0f}; {found['per_second']:,.0f}"),
        ("sent, as the job counts", f"{found['sent']:,}"),
        ("have blocked the bot, and left the audience", f"{found['blocked']:,}, {found['audience_after']:,} are left"),
        ("unknown, listed; who of them got it", f"{found['unknown']:,}; {found['unknown_who_got_it']:,}"),
        ("got it twice", f"{found['got_more_than_one']:,}"),
        ("got nothing and are not listed", f"{found['got_nothing_and_not_listed']:,}"),
        ("429", str(found["refused"].get("429", 0))),
        ("seconds without a message after each kill", ", ".join(map(str, found["seconds_after_a_kill"]))),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def write(
    name: str,
    title: str,
    found: Mapping[str, Any],
    table: str,
    machine: Mapping[str, Any],
    *,
    shared_by: str = "workers, local Telegram and broker",
) -> None:
    """Write the results, and the part of docs/bench.md that shows them."""
    RESULTS.mkdir(exist_ok=True)
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    head = {"date": date, "commit": commit(), "machine": dict(machine)}
    (RESULTS / f"{name}.json").write_text(json.dumps({**head, **found}, indent=1) + "\n")
    where = f"{machine['cores']} cores ({machine['cpu']}) that {shared_by} share"
    load = f"load average {machine['load_average_at_start']} at the start"
    whole = f"{table}\n\nRun {date} at commit {head['commit']}, on {where}; {load}.\n"
    (RESULTS / f"{name}.md").write_text(f"# {title}\n\n{whole}")
    begin, end = f"<!-- {name}:begin, written by `make {name}` -->", f"<!-- {name}:end -->"
    before, found_begin, rest = PAGE.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if found_begin and found_end:
        PAGE.write_text(f"{before}{begin}\n\n{whole}\n{end}{after}")
