"""Which file a path means."""

from pathlib import Path

import pytest

from gateway.files import cache_control, content_type, find, safe_parts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("index")
    (folder / "sub" / "index.html").write_text("sub")
    (folder / ".env").write_text("secret")
    (folder / "empty").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "pages-of-others").mkdir()
    (tmp_path / "pages-of-others" / "x.txt").write_text("secret")
    return folder


@pytest.mark.parametrize(
    ("relative", "parts"),
    [
        ("", ("index.html",)),
        ("a/", ("a", "index.html")),
        ("a/b.js", ("a", "b.js")),
        ("ä b.png", ("ä b.png",)),
        ("..", None),
        ("../x", None),
        ("a/../../x", None),
        ("./x", None),
        ("a/./b", None),
        (".env", None),
        ("a/.git/config", None),
        ("/etc/passwd", None),
        ("a//b", None),
        ("a\\..\\b", None),
        ("a\0.html", None),
        ("a\n", None),
    ],
)
def test_paths_that_may_be_looked_up(relative: str, parts: tuple[str, ...] | None) -> None:
    assert safe_parts(relative) == parts


def test_files_and_folders(root: Path) -> None:
    index = find(root, "")
    assert index is not None
    assert (index.path.read_text(), index.size, index.is_folder) == ("index", 5, False)
    folder = find(root, "sub")
    assert folder is not None
    assert folder.is_folder
    below = find(root, "sub/")
    assert below is not None
    assert below.path.read_text() == "sub"
    assert find(root, "empty/") is None
    assert find(root, "index.html/") is None
    assert find(root, "x" * 5000) is None
    assert find(root / "nowhere", "") is None


def test_links_that_lead_out_lead_nowhere(root: Path) -> None:
    (root / "out.txt").symlink_to(root.parent / "secret.txt")
    (root / "out").symlink_to(root.parent)
    (root / "twin").symlink_to(root.parent / "pages-of-others")
    (root / "circle").symlink_to(root / "circle")
    assert find(root, "out.txt") is None
    assert find(root, "out/secret.txt") is None
    assert find(root, "twin/x.txt") is None  # a folder whose name begins like ours is not ours
    assert find(root, "circle") is None


def test_links_that_stay_inside_work(root: Path) -> None:
    """A ConfigMap volume is made of links into dot folders."""
    (root / "..2024").mkdir()
    (root / "..2024" / "app.js").write_text("code")
    (root / "..data").symlink_to("..2024")
    (root / "app.js").symlink_to("..data/app.js")
    found = find(root, "app.js")
    assert found is not None
    assert found.path.read_text() == "code"


def test_the_folder_itself_may_be_a_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert find(link, "index.html") is not None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("mini-apps.d.ts", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
        ("A.PNG", "image/png"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_content_types(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_code_is_asked_for_each_time() -> None:
    assert cache_control("a.html") == cache_control("A.JS") == cache_control("a.css") == "no-cache"
    assert cache_control("a.png") == "public, max-age=300"
