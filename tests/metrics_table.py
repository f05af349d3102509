"""The table of `docs/metrics.md`, as tests read it."""

import re
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|", re.MULTILINE)


class Told(NamedTuple):
    """What the page tells of one metric."""

    kind: str
    labels: set[str]
    told_by: set[str]


def told() -> dict[str, Told]:
    rows = ROW.findall(PAGE.read_text())
    return {
        name: Told(kind, set(re.findall(r"`(\w+)`", labels)), set(by.replace("each", "gateway, bot, ws").split(", ")))
        for name, kind, labels, by in rows
    }


def differences(text: str, process: str) -> list[str]:
    """Compare what a process answered to `/metrics` with the page; an empty `process` where several are in one."""
    page, wrong = told(), []
    for family in text_string_to_metric_families(text):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        if not name.startswith("mini_apps_"):
            continue
        found = page.get(name)
        if found is None or (process and process not in found.told_by):
            wrong.append(f"{name}: not on the page for {process}")
            continue
        wrong += [
            f"{name}: labels {set(sample.labels)} where the page tells {found.labels}"
            for sample in family.samples
            if set(sample.labels) - {"le"} != found.labels
        ]
    return wrong
