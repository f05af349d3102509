"""docs/security.md names tests for its claims: they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [name for name in sorted(named) if not re.search(rf"def {name}\(", tests)]
    assert not missing


def test_every_file_that_the_page_links_to_is_there() -> None:
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert linked
    assert not [link for link in linked if not (ROOT / "docs" / link).exists()]
