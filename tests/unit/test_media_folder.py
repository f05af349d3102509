"""The folder of uploaded pictures."""

import os
import time
from pathlib import Path

import pytest

from pictures import GIF, JPEG, PNG
from shared.images import BadImage
from shared.media import COUNT_SECONDS, MediaFolder, MediaFull, is_upload


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_picture_gets_a_name_nobody_can_guess_and_only_its_own_bytes(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path / "media", 0)
    stored = [folder.store("counter", raw) for raw in (PNG, PNG, JPEG + b"<script>")]
    assert len({one.name for one in stored}) == 3
    assert all(is_upload(one.name) for one in stored)
    assert [(tmp_path / "media" / "counter" / one.name).read_bytes() for one in stored] == [PNG, PNG, JPEG]
    assert [one.name.rpartition(".")[2] for one in stored] == ["png", "png", "jpg"]


def test_what_is_no_picture_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadImage):
        MediaFolder(tmp_path, 0).store("counter", b"<svg/>")
    assert files(tmp_path) == []


def test_the_folder_has_a_bound_which_counts_what_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "logo.svg").write_bytes(b"-" * 100)
    folder = MediaFolder(tmp_path, 100 + len(PNG) + len(GIF))
    kept = folder.store("counter", PNG)
    folder.store("counter", GIF)
    with pytest.raises(MediaFull):
        folder.store("counter", GIF)
    assert folder.remove("counter", kept.name)
    folder.store("counter", PNG)


def test_a_picture_can_be_taken_away_once_and_nothing_else_can(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path / "media", 0)
    stored = folder.store("counter", PNG)
    outside = tmp_path / f"{'0' * 32}.png"
    outside.write_bytes(PNG)
    (tmp_path / "media" / "counter" / "logo.svg").write_text("<svg/>")
    assert not folder.remove("counter", f"../../{outside.name}")
    assert not folder.remove("counter", "logo.svg")
    assert not folder.remove("other", stored.name)
    assert outside.exists()
    assert folder.remove("counter", stored.name)
    assert not folder.remove("counter", stored.name)
    assert files(tmp_path / "media") == ["counter/logo.svg"]


def test_old_pictures_without_use_go_and_nothing_else(tmp_path: Path) -> None:
    folder = MediaFolder(tmp_path, 4 * len(PNG))
    assert folder.remove_unused("counter", (), 1_000.0) == 0
    used, unused, fresh = (folder.store("counter", PNG).name for _ in range(3))
    other = folder.store("other", PNG).name
    (tmp_path / "counter" / "logo.svg").touch()
    for name in (f"counter/{used}", f"counter/{unused}", f"other/{other}", "counter/logo.svg"):
        os.utime(tmp_path / name, (999.0, 999.0))
    assert folder.remove_unused("counter", {used}, 1_000.0) == 1
    assert files(tmp_path) == sorted([f"counter/{used}", f"counter/{fresh}", f"other/{other}", "counter/logo.svg"])
    folder.store("counter", PNG)  # what they took is free again


def test_a_folder_that_cannot_be_written_is_an_error_and_reserves_nothing(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("a file where the app's folder belongs")
    folder = MediaFolder(tmp_path, 200)
    for _ in range(5):
        with pytest.raises(OSError, match="exists"):
            folder.store("counter", PNG)
    folder.store("other", PNG)


def test_what_a_dead_process_left_unfinished_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter").mkdir()
    left, fresh = tmp_path / "counter" / ".left.part", tmp_path / "counter" / ".fresh.part"
    for part in (left, fresh):
        part.write_bytes(b"-")
    os.utime(left, (0, 0))
    folder = MediaFolder(tmp_path, 1_000)
    folder.store("counter", PNG)
    assert (left.exists(), fresh.exists()) == (False, True)
    # Others write there too: after a while the folder is counted anew.
    (tmp_path / "big").write_bytes(b"-" * 990)
    folder.store("counter", PNG)
    now = time.monotonic()
    monkeypatch.setattr("shared.media.time.monotonic", lambda: now + COUNT_SECONDS + 1)
    with pytest.raises(MediaFull):
        folder.store("counter", PNG)
