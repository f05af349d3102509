"""The snippets of docs/testing.md, each run as it stands."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "testing.md"
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets() -> dict[str, Callable[..., Any]]:
    """Return the tests of the page by name; a later snippet uses the classes of those before."""
    names: dict[str, Any] = {"__name__": "documented"}
    for code in FENCE.findall(DOCUMENT.read_text("utf-8")):
        exec(compile(code, str(DOCUMENT), "exec"), names)
    return {name: found for name, found in names.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", snippets())
async def test_snippet(name: str, request: pytest.FixtureRequest, mini_apps_valkey: Any) -> None:
    test = snippets()[name]
    await test(*(request.getfixturevalue(wanted) for wanted in inspect.signature(test).parameters))
