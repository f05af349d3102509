"""What every answer gets, as far as it needs no socket, and what the gateway does not load."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import html
from gateway.edge import frame_origins


@pytest.mark.parametrize(
    ("sandbox", "origins"),
    [
        ("", []),
        ("http://127.0.0.1:8083", ["http://127.0.0.1:8083", "http://localhost:8083"]),
        ("http://localhost:8083/x", ["http://127.0.0.1:8083", "http://localhost:8083"]),
        ("https://sandbox.example.com/", ["https://sandbox.example.com"]),
    ],
)
def test_who_may_frame_pages_in_development(sandbox: str, origins: list[str]) -> None:
    assert frame_origins(sandbox) == origins


def test_names_cannot_break_out_of_a_page() -> None:
    page = html.page("404", "<b>", '"quoted" & <script>')
    assert "<script" not in page
    assert "&lt;b&gt;" in page
    assert "<script" not in html.index([("<script>", "/apps/<script>/"), ("<script>", None)])


def test_the_gateway_loads_neither_aiogram_nor_websockets() -> None:
    code = "import sys, gateway.__main__; print([name for name in ('aiogram', 'websockets') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True
    )
    assert done.stdout.strip() == "[]"
