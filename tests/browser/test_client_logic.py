"""The browser client's own tests, which are JavaScript, and what npm makes of the package."""

import json
import subprocess
from pathlib import Path

import playwright
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from npm import CLIENT, run_npm

from shared.codec import decode_msgpack, encode_msgpack

NODE = Path(playwright.__file__).parent / "driver" / "node"

pytestmark = pytest.mark.xdist_group("browser-client")  # so that one process installs what npm brings


def test_the_clients_own_tests_pass() -> None:
    """Run by the node that Playwright brings along."""
    files = sorted(map(str, CLIENT.glob("test/*.test.js")))
    assert files
    result = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


TRANSCODE = """
import { createInterface } from "node:readline";
const { msgpack } = await import(process.argv[1]);
for await (const line of createInterface({ input: process.stdin })) {
  const bytes = Uint8Array.from(Buffer.from(line, "hex"));
  console.log(Buffer.from(msgpack.encode(msgpack.decode(bytes.buffer))).toString("hex"));
}
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({"type": st.text(min_size=1), "value": JSON}), max_size=10))
def test_its_msgpack_is_that_of_the_nodes(messages: list[dict[str, object]]) -> None:
    lines = "".join(encode_msgpack(message).hex() + "\n" for message in messages)
    command = [NODE, "--input-type=module", "--eval", TRANSCODE, str(CLIENT / "msgpack.js")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=True)
    assert [decode_msgpack(bytes.fromhex(line)) for line in done.stdout.splitlines()] == messages


def test_the_bindings_work_with_real_react_and_vue(package: Path) -> None:
    result = run_npm(package, "run", "--silent", "test:bindings")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_types_say_what_pages_may_do(package: Path) -> None:
    result = run_npm(package, "run", "--silent", "test:types")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_package_holds_what_its_exports_name_and_no_tests(package: Path) -> None:
    result = run_npm(package, "pack", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    [packed] = json.loads(result.stdout)
    files = {file["path"] for file in packed["files"]}
    sources = {path.name for path in CLIENT.iterdir() if path.suffix in {".js", ".ts"}}
    assert files == sources | {"package.json", "README.md", "LICENSE"}
    about = json.loads((CLIENT / "package.json").read_text())
    named = {path.removeprefix("./") for entry in about["exports"].values() for path in _paths(entry)}
    assert named <= files
    assert "dependencies" not in about


def _paths(entry: str | dict[str, str]) -> list[str]:
    return [entry] if isinstance(entry, str) else list(entry.values())
