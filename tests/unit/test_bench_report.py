"""What the benchmark makes of its measurements."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import plots, report
from bench.medians import Medians
from bench.targets import TARGETS

VALUES = {
    "max": {"ours": {"frames_s": [300.0, 100.0, 200.0]}, "C limit": {"frames_s": [100.0, 100.0, 50.0]}},
    "50k": {"ours": {"p99": [4.0]}, "C limit": {"p99": [1.9]}, "ws": {"p99": [5.0]}},
    "memory": {"ours": {"kb": [8.5]}},
}


def test_ratios_are_taken_within_a_repetition() -> None:
    medians = Medians(VALUES)
    assert medians.of("max", "ours", "frames_s") == 200
    assert medians.ratio("max", "ours", "C limit", "frames_s") == 3  # of 3, 1 and 4; the medians' own would be 2
    assert medians.ratio("max", "ours", "Socket.IO", "frames_s") is None


def test_targets_say_yes_no_and_not_measured() -> None:
    judged = {(target.text, target.judge(Medians(VALUES))["reached"]) for target in TARGETS}
    assert {
        ("≥ 2.5 × C limit", True),
        ("≥ 6 × Socket.IO", None),
        ("p99 ≤ 2 × C limit", False),
        ("p99 below ws", True),
        ("≤ 8 KB resident", False),
    } <= judged


@pytest.mark.parametrize("theme", plots.THEMES)
def test_the_plot_is_svg_with_a_bar_for_each_side(theme: str) -> None:
    root = ET.fromstring(plots.draw(Medians(VALUES).all(), theme))
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 6


def test_the_readme_keeps_everything_but_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    whole = report.README.read_text()
    readme.write_text(whole)
    monkeypatch.setattr(report, "README", readme)
    report.into_readme("the table")
    report.into_readme("another table")
    before, _, rest = whole.partition(report.BEGIN)
    text = readme.read_text()
    assert text.startswith(before)
    assert text.endswith(rest.partition(report.END)[2])
    assert "another table" in text
    assert "the table" not in text
