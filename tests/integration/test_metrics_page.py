"""`docs/metrics.md` is what the code declares, and dashboard and alerts ask for nothing else."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from metrics_page import page

from metrics_table import told

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "mini-apps.json"
NOTHING: tuple[str, set[str]] = ("", set())
OF_PROMETHEUS = {"up", "ALERTS"}
NAME = re.compile(r"\b(?:mini_apps|process)_[a-z_]+\b")


promtool = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    promtool is None, reason="promtool is missing: sh tools/promtool.sh installs it (Debian's package prometheus)"
)


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def asked() -> Iterator[str]:
    """Every expression of the dashboard and the alerts, without the texts of its label matchers."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m")
    for group in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process_… metrics are of Linux only")
def test_the_page_is_what_the_code_declares() -> None:
    assert PAGE.read_text() == page(PAGE.read_text()), "run: .venv/bin/python tools/metrics_page.py"


def test_names_tell_units() -> None:
    wrong = []
    for name, (kind, _, _) in told().items():
        if not name.startswith("mini_apps_"):
            continue
        if kind == "counter" and not name.endswith("_total"):
            wrong.append(f"{name}: a counter ends in _total")
        if kind == "histogram" and not name.endswith(("_seconds", "_bytes")):
            wrong.append(f"{name}: a histogram names its unit")
        if kind == "gauge" and name.endswith(("_total", "_count", "_sum", "_ms", "_kb")):
            wrong.append(f"{name}: no name for a gauge")
    assert len(told()) > 60
    assert wrong == []


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist() -> None:
    known = {name: (kind, labels) for name, (kind, labels, _) in told().items()}
    unknown = {}
    for expression in asked():
        names = NAME.findall(expression)
        assert names or OF_PROMETHEUS & set(re.findall(r"\w+", expression)), expression
        for name in names:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            if name not in known and known.get(base, NOTHING)[0] != "histogram":
                unknown[name] = expression
        own = {label for name in names for label in known.get(re.sub(r"_bucket$", "", name), NOTHING)[1]}
        for label in re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expression) + _grouped(expression):
            if label not in own | {"job", "instance", "le"}:
                unknown[label] = expression
    assert unknown == {}


def _grouped(expression: str) -> list[str]:
    lists = re.findall(r"\b(?:by|on|without) \(([^)]*)\)", expression)
    return [label.strip() for found in lists for label in found.split(",") if label.strip()]


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    uid = source["datasources"][0]["uid"]
    for panel in panels():
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == uid
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    taken = {
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    }
    assert len(taken) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels()), "panels overlap"


def test_every_alert_is_seen_to_fire() -> None:
    rules = yaml.safe_load((RULES / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tested = set()
    for test in yaml.safe_load((RULES / "alerts_test.yml").read_text())["tests"]:
        tested |= {case["alertname"] for case in test.get("alert_rule_test", ()) if case["exp_alerts"]}
        for case in test.get("promql_expr_test", ()):
            tested |= {
                name for found in case["exp_samples"] for name in re.findall(r'alertname="(\w+)"', found["labels"])
            }
    assert alerts == tested
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert set(rule["annotations"]) == {"summary", "description"}


@needs_promtool
@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    found = subprocess.run(
        [str(promtool), *arguments], check=False, cwd=RULES, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stdout + found.stderr


@needs_promtool
def test_the_dashboards_questions_are_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": question} for number, question in enumerate(asked())]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    command = [str(promtool), "check", "rules", "asked.yml"]
    found = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
