"""What a bot sends as a photo or a document, on the phone it was sent to."""

import struct
import zlib
from pathlib import Path

import pytest
from aiogram.types import BufferedInputFile
from deployment import PATIENCE_MS, watch_errors
from playwright.async_api import BrowserContext, expect

from sandbox_desk import ADA, desk

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-pages")]


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x30\x90\xd0" * 40 for _ in range(30))
    head = struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def test_a_photo_shows_and_a_document_can_be_saved(context: BrowserContext, tmp_path: Path) -> None:
    async with desk() as telegram, telegram.bot() as bot:
        await telegram.act(ADA, "messages", text="/start")
        page = await context.new_page()
        errors = watch_errors(page)
        await page.goto(f"{telegram.base}/sandbox/")
        log = page.locator(".phone").first.get_by_role("log")
        await expect(log).to_contain_text("/start", timeout=PATIENCE_MS)

        caption = "A <b>blue</b> one"
        await bot.send_photo(ADA, BufferedInputFile(_png(), "blue.png"), caption=caption, parse_mode="HTML")
        photo = log.locator("img.photo")
        await expect(photo).to_be_visible(timeout=PATIENCE_MS)
        size = await photo.evaluate("async (it) => (await it.decode(), [it.naturalWidth, it.naturalHeight])")
        assert size == [40, 30]
        await expect(log.locator(".attachment .text")).to_have_text("A blue one")

        await bot.send_document(ADA, BufferedInputFile(b"some words", "words.txt"))
        async with page.expect_download() as coming:
            await log.get_by_role("link", name="words.txt").click()
        await (await coming.value).save_as(tmp_path / "saved.txt")
        assert (tmp_path / "saved.txt").read_bytes() == b"some words"
        assert errors == []
