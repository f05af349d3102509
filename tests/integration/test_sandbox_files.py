"""Files at the sandbox: sent by a real aiogram bot, fetched again byte by byte, shown to the page."""

import hashlib
import io
import random
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramEntityTooLarge, TelegramNotFound
from aiogram.types import BufferedInputFile, FSInputFile, InputMediaDocument, InputMediaPhoto

from sandbox.files import Files, Sent, picture_size
from sandbox_desk import ADA, TOKEN, Desk, desk


@pytest.fixture
async def started() -> AsyncIterator[Desk]:
    async with desk() as made:
        await made.act(ADA, "messages", text="/start")
        yield made


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x30\x90\xd0" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def test_a_document_goes_up_and_comes_down(started: Desk, tmp_path) -> None:
    content = random.Random(1).randbytes(300_000)
    (tmp_path / "report ü.bin").write_bytes(content)
    async with started.bot() as bot:
        sent = await bot.send_document(
            ADA, FSInputFile(tmp_path / "report ü.bin"), caption="<b>it</b>", parse_mode="HTML"
        )
        assert sent.document is not None
        assert (sent.document.file_name, sent.document.file_size) == ("report ü.bin", 300_000)
        assert (sent.caption, sent.caption_entities[0].type) == ("it", "bold")
        down = await bot.download(sent.document)
        assert hashlib.sha256(down.read()).digest() == hashlib.sha256(content).digest()
        again = await bot.send_document(ADA, sent.document.file_id)
        assert again.document == sent.document
        changed = await bot.edit_message_caption(chat_id=ADA, message_id=sent.message_id, caption="else")
        assert changed.caption == "else"
        assert changed.document == sent.document


async def test_a_photo_has_its_size_and_is_shown(started: Desk) -> None:
    async with started.bot() as bot:
        sent = await bot.send_photo(ADA, BufferedInputFile(png(40, 30), "p.png"))
        [photo] = sent.photo
        assert (photo.width, photo.height) == (40, 30)
        with pytest.raises(TelegramBadRequest, match="can't use file of type Photo as Document"):
            await bot.send_document(ADA, photo.file_id)
    async with started.http.get(f"{started.base}/sandbox/api/files/{photo.file_id}") as response:
        assert (response.status, response.content_type) == (200, "image/png")
        assert await response.read() == png(40, 30)
    assert (await started.chat(ADA))["messages"][-1]["photo"][0]["file_id"] == photo.file_id


async def test_what_is_no_picture_is_only_saved(started: Desk) -> None:
    async with started.bot() as bot:
        page = BufferedInputFile(b"<script>alert(1)</script>", "x.html")
        sent = await bot.send_document(ADA, page)
    async with started.http.get(f"{started.base}/sandbox/api/files/{sent.document.file_id}") as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment")
    async with started.http.get(f"{started.base}/sandbox/api/files/nothing") as response:
        assert response.status == 404


async def test_every_kind_of_file(started: Desk) -> None:
    file = BufferedInputFile(b"data", "f.bin")
    async with started.bot() as bot:
        for send in ("video", "animation", "audio", "voice", "video_note", "sticker"):
            sent = await getattr(bot, f"send_{send}")(ADA, file)
            assert getattr(sent, send).file_size == 4, send
        album = await bot.send_media_group(
            ADA,
            [InputMediaPhoto(media=BufferedInputFile(png(1, 1), "a.png")), InputMediaPhoto(media=file, caption="two")],
        )
        assert len({message.media_group_id for message in album}) == 1
        assert album[1].caption == "two"
        with pytest.raises(TelegramBadRequest, match="2 to 10"):
            await bot.send_media_group(ADA, [InputMediaDocument(media=file)])


async def test_refusals(started: Desk) -> None:
    async with started.bot() as bot:
        for given, text in (("nothing", "wrong file identifier"), (BufferedInputFile(b"", "e"), "must be non-empty")):
            with pytest.raises(TelegramBadRequest, match=text):
                await bot.send_document(ADA, given)
        with pytest.raises(TelegramEntityTooLarge):
            await bot.send_photo(ADA, BufferedInputFile(bytes(10 * 1024 * 1024 + 1), "big.png"))
        with pytest.raises(TelegramBadRequest, match="wrong file_id"):
            await bot.get_file("nothing")
        with pytest.raises(TelegramBadRequest, match="caption is too long"):
            await bot.send_document(ADA, BufferedInputFile(b"x", "x"), caption="x" * 1025)
    status, answer = await started.raw("sendDocument", data={"chat_id": str(ADA)})
    assert (status, answer["description"]) == (400, "Bad Request: there is no document in the request")
    for token in ("7:wrong", TOKEN):
        async with started.http.get(f"{started.base}/file/bot{token}/documents/none") as response:
            assert response.status == (404 if token == TOKEN else 401)


async def test_an_unknown_method_is_still_unknown(started: Desk) -> None:
    async with started.bot() as bot:
        with pytest.raises(TelegramNotFound):
            await bot.get_available_gifts()


def test_the_oldest_files_are_forgotten() -> None:
    files = Files(random.Random(1), bound=10)
    first, second = files.add("document", Sent("a", b"123456")), files.add("document", Sent("b", b"123456"))
    assert files.get(first.id) is None
    assert files.at(second.path) is second


def test_the_size_of_a_jpeg() -> None:
    data = io.BytesIO()
    data.write(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10) + b"\xff\xc0\x00\x11\x08\x00\x20\x00\x40" + bytes(20))
    assert picture_size(data.getvalue()) == (64, 32)
    assert picture_size(b"\xff\xd8\xff\xe0\x00\x00") == (320, 320)
    assert picture_size(b"nothing") == (320, 320)
