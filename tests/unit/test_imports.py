"""Who may import whom: every import of every room, the lazy ones inside functions too."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("shared", "mini_apps", "gateway", "bot_worker", "ws_server", "sandbox")
SERVICES = frozenset({"gateway", "bot_worker", "ws_server", "sandbox"})
OURS = frozenset(ROOMS)
LOADED_LATE = {"mini_apps/telegram_session.py", "mini_apps/remote_session.py"}  # when an app first calls Telegram
TERMINAL_CLIENT = "mini_apps/cli/terminal.py"


def modules(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """Give every module a file imports, by `import`, `from … import` and `import_module("…")`."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, level=0, names=names):
                assert module is not None
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom(module=module, level=level):
                yield ".".join((*package[: len(package) - level + 1], *filter(None, [module])))
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                if node.args and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)


def runtime_imports(path: Path) -> Iterator[str]:
    """Give what a file imports when it is imported: neither inside functions nor for type checkers only."""
    for node in ast.parse(path.read_text("utf-8"), str(path)).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def allowed(path: Path) -> frozenset[str]:
    room = path.relative_to(ROOT).parts[0]
    if room == "shared":
        return frozenset({"shared"})
    if room == "mini_apps":
        parts = path.relative_to(ROOT).parts
        runner = parts[1] in ("cli", "testing", "__main__.py")  # each runs a whole deployment on one machine
        return frozenset({"shared", "mini_apps"}) | (SERVICES if runner else frozenset())
    return frozenset({"shared", "mini_apps", room})


@pytest.mark.parametrize("path", modules(*ROOMS), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    ours = {name.partition(".")[0] for name in imports(path)} & OURS
    assert ours <= allowed(path), f"{path.relative_to(ROOT)} may not import {sorted(ours - allowed(path))}"


def test_what_loads_aiogram_is_loaded_late() -> None:
    for path in modules("shared", "mini_apps"):
        if path.relative_to(ROOT).as_posix() not in LOADED_LATE:
            loaded = {name.partition(":")[0].replace(".", "/") + ".py" for name in runtime_imports(path)}
            assert not loaded & LOADED_LATE, path


@pytest.mark.parametrize("path", modules("mini_apps"), ids=lambda path: str(path.relative_to(ROOT)))
def test_runners_import_services_lazily(path: Path) -> None:
    eager = {name.partition(".")[0] for name in runtime_imports(path)} & SERVICES
    assert not eager, f"{path.relative_to(ROOT)} imports {sorted(eager)} at module level"


def test_websockets_is_for_the_nodes_and_the_terminal_client() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in modules(*ROOMS)
        if any(name.partition(".")[0] == "websockets" for name in imports(path))
    }
    assert {name for name in users if not name.startswith("ws_server/")} <= {TERMINAL_CLIENT}


def test_only_rooms_that_talk_to_telegram_import_aiogram() -> None:
    for path in modules("shared", "gateway", "ws_server"):
        assert not any(name.partition(".")[0] == "aiogram" for name in imports(path)), path
    for path in modules("mini_apps"):
        name = path.relative_to(ROOT).as_posix()
        late = name.startswith("mini_apps/cli/") or name in LOADED_LATE  # a command loads what it needs
        assert late or not any(name.partition(".")[0] == "aiogram" for name in runtime_imports(path)), path


def test_examples_need_only_the_authors_side() -> None:
    for path in modules("examples"):
        ours = {name.partition(".")[0] for name in imports(path)} & OURS
        assert ours <= {"mini_apps", "shared"}, path


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and give the top-level packages it loaded."""
    script = f"import sys\n{code}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_mini_apps_loads_nothing_heavy() -> None:
    assert not loaded_after("import mini_apps") & {"aiogram", "sqlalchemy", "pydantic", "redis", "websockets"}


APP = """
from mini_apps import App
class Counter(App):
    @App.bot_command
    async def start(self, args, event):
        "Start"
Counter({"bot-token": "42:x"})
"""


@pytest.mark.parametrize(
    "code",
    [
        "import mini_apps.app",
        "from mini_apps import App, Client, User, bot_command, Send, AppError, LoginRefused",
        APP,
        "import mini_apps.loading, mini_apps.mesh, mini_apps.database",
        "from mini_apps.testing import sign_init_data; import mini_apps.testing.plugin",
    ],
)
def test_the_authors_side_leaves_aiogram_unloaded(code: str) -> None:
    loaded = loaded_after(code)
    assert "mini_apps" in loaded
    assert not loaded & {"aiogram", "websockets", "aiohttp"}


def test_every_exported_name_is_there() -> None:
    import mini_apps

    for name in mini_apps.__all__:
        assert getattr(mini_apps, name) is not None
        assert name in dir(mini_apps)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = mini_apps.Nothing


def test_every_package_that_is_imported_is_a_dependency_of_ours() -> None:
    """The environment of the tests has more, so that one missing from the list would not show."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in project["dependencies"]}
    homes = packages_distributions()
    known = (
        OURS | sys.stdlib_module_names | {"pytest", "pydantic_core"}
    )  # what loads our plugin; what pydantic is made of
    for path in modules(*ROOMS):
        for name in imports(path):
            top = name.partition(".")[0]
            ours = wanted & {canonical(home) for home in homes.get(top, [])}
            assert top in known or ours, f"{path} imports {name}"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
