"""Writes the table of `docs/metrics.md` from the metrics the code declares: `python tools/metrics_page.py`.

Which process tells a metric follows from the imports at the top of its modules, so that none needs to be started.
"""

import ast
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from prometheus_client import REGISTRY  # noqa: E402 - our packages must be found first

from shared.lifecycle import Process  # noqa: E402
from ws_server.hub import Hub  # noqa: E402
from ws_server.metrics import GAUGES, Counts, NodeCollector  # noqa: E402

PAGE = ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- table:begin, written by tools/metrics_page.py -->\n", "<!-- table:end -->\n"
ROOTS = {  # those behind the first are imported once an app calls Telegram, or sells
    "gateway": ("gateway.server",),
    "bot": ("bot_worker.worker", "mini_apps.remote_calls", "mini_apps.payments"),
    "ws": ("ws_server.server", "mini_apps.remote_calls"),
}


def page(text: str) -> str:
    """Return the page with its table anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + END + rest.partition(END)[2]


def table() -> str:
    """Return the table, with all processes in it."""
    modules = {kind: _reached(roots) for kind, roots in ROOTS.items()}
    declaring = {module: _source(module) for found in modules.values() for module in found}
    declaring = {module: text for module, text in declaring.items() if "from prometheus_client import" in text}
    for module in declaring:
        importlib.import_module(module)
    lines = ["| metric | type | labels | told by | what |", "|---|---|---|---|---|"]
    for name, kind, labels, text in sorted([*_families(REGISTRY), *_families(_of_a_process())]):
        base = name.removesuffix("_total")
        homes = {module for module, source in declaring.items() if f'"{base}"' in source}
        told_by = [process for process, found in modules.items() if homes & found]
        if base.startswith("mini_apps_ws_") and not homes:  # named by the node's collector
            told_by = ["ws"]
        shown = "each" if len(told_by or ROOTS) == len(ROOTS) else ", ".join(told_by)
        lines.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {shown} | {text} |")
    return "\n".join(lines) + "\n"


def _of_a_process() -> Any:
    """Give what each process tells of itself, and what only a node does."""
    registry = Process("ws", drain_seconds=1).registry
    nothing = dict.fromkeys(GAUGES, lambda: 0.0)
    registry.register(NodeCollector(Counts(), Hub(lambda _: None), Counter(), nothing))
    return registry


def _families(registry: Any) -> Iterator[tuple[str, str, list[str], str]]:
    """Give name, type, labels and help of each metric that is ours or the operating system's."""
    labels = {
        name: metric._labelnames  # noqa: SLF001 - the library shows the labels of a metric nowhere else
        for metric, names in registry._collector_to_names.items()  # noqa: SLF001
        for name in names
        if hasattr(metric, "_labelnames")
    }
    for family in registry.collect():
        name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
        if name.startswith(("mini_apps_", "process_")):
            shown = labels.get(family.name) or getattr(family, "_labelnames", None) or _of_samples(family)
            kind = "gauge" if family.type == "info" else family.type
            yield name, kind, list(shown), family.documentation.rstrip(".")


def _of_samples(family: Any) -> list[str]:
    return sorted({label for sample in family.samples for label in sample.labels} - {"le"})


def _reached(roots: tuple[str, ...]) -> set[str]:
    """Follow the imports at the top of our modules."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found and _source(module):
            found.add(module)
            waiting += _imports(module)
    return found


@cache
def _source(module: str) -> str:
    """Return the text of one of our modules, empty for what is none."""
    place = ROOT / module.replace(".", "/")
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file.read_text()
    return ""


@cache
def _imports(module: str) -> list[str]:
    names: list[str] = []
    for statement in ast.parse(_source(module)).body:  # not those of functions, nor of TYPE_CHECKING
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names += [statement.module, *(f"{statement.module}.{alias.name}" for alias in statement.names)]
    return names


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
