"""What commands write and show: a new app, settings as TOML, changes that `--reload` sees."""

import ast
import os
import tomllib
from pathlib import Path

import pytest

from mini_apps.cli.dev.reload import changed, look, syntax_trouble
from mini_apps.cli.new import class_name, new
from mini_apps.cli.problem import Problem
from mini_apps.cli.show_settings import to_toml
from shared.settings import load


def test_a_new_app_is_whole(tmp_path: Path) -> None:
    said = list(new("my-shop", tmp_path))
    assert said[-1].strip().startswith("cd my-shop && mini-apps dev")
    folder = tmp_path / "my-shop"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"app.py", "pages/index.html", "test_app.py", "mini-apps.toml", "README.md", ".gitignore"}
    text = "".join((folder / file).read_text() for file in files)
    assert "ClassOfApp" not in text
    assert "__name__of_app__" not in text
    tree = ast.parse((folder / "app.py").read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == ["MyShop"]
    settings = load(folder / "mini-apps.toml", {})
    assert settings.apps["my-shop"].class_path == "app:MyShop"


def test_a_new_app_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with pytest.raises(Problem, match="nothing was changed"):
        list(new("shop", tmp_path))
    assert list((tmp_path / "shop").iterdir()) == []


@pytest.mark.parametrize("name", ["", "Shop", "../x", "1shop", "a b", "x" * 33, "-x"])
def test_a_name_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match="cannot be an app's name"):
        list(new(name, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_class_names() -> None:
    assert class_name("tic-tac_toe") == "TicTacToe"
    assert class_name("shop2") == "Shop2"


def test_settings_as_toml_read_back(tmp_path: Path) -> None:
    file = tmp_path / "mini-apps.toml"
    file.write_text("""
        [gateway]
        api-keys = ["a-long-enough-key"]
        [apps.shop]
        class = "app:Shop"
        bot-token = "42:sandbox-shop"
        since = 2026-01-02
        texts = { "a b" = "q\\"uote", list = [1, 2.5, true, "é\\u007f\\n"] }
    """)
    found = load(file, {}).redacted()
    assert tomllib.loads(to_toml(found)) == found
    assert found["apps"]["shop"]["bot-token"] == "***"


def test_changes_are_seen_where_they_count(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / "inner").mkdir()
    settings, app, inner = tmp_path / "mini-apps.toml", tmp_path / "app.py", tmp_path / "inner" / "rules.py"
    for file in (settings, app, inner, tmp_path / ".venv" / "lib.py", tmp_path / "notes.txt"):
        file.write_text("x = 1\n")
    before = look([tmp_path], [settings])
    assert set(before) == {settings, app, inner}
    os.utime(inner, ns=(1, 1))
    app.unlink()
    assert changed(before, look([tmp_path], [settings])) == [app, inner]
    assert changed(before, before) == []


def test_a_syntax_error_is_told_in_one_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_text("x = 1\ndef y(:\n")
    assert syntax_trouble([good, tmp_path / "gone.py"]) is None
    assert syntax_trouble([good, bad]) == "bad.py line 2: invalid syntax"
