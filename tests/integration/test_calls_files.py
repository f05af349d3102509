"""Files over Redis: 50 MB up and down byte by byte, within a budget, and nothing left behind."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiogram.exceptions import TelegramEntityTooLarge
from aiogram.types import BufferedInputFile, FSInputFile, InputMediaDocument, URLInputFile

from app_mesh import in_process
from bot_rig import Rig, rig
from mini_apps import Overloaded
from shared.call_files import FILE_BYTES
from support import eventually

ADA = 1001


@pytest.fixture
async def deployment(broker, tmp_path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path) as made:
        yield made


async def _started(deployment: Rig) -> None:
    await deployment.say("/start")
    await eventually(deployment.answers)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _nothing_left(deployment: Rig) -> bool:
    client, keys = deployment.broker.client, deployment.keys
    left = [key async for key in client.scan_iter(f"{keys.call_file('')}*")]
    return (
        not left and await client.zcard(keys.call_files) == 0 and await client.hget(keys.call_file_bytes, "all") == b"0"
    )


async def test_fifty_megabytes_up_and_down(deployment: Rig, tmp_path) -> None:
    content = random.Random(1).randbytes(FILE_BYTES)
    (tmp_path / "big.bin").write_bytes(content)
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        sent = await app.telegram.send_document(ADA, FSInputFile(tmp_path / "big.bin"))
        assert sent.document.file_size == FILE_BYTES
        stored = deployment.telegram_world().files.get(sent.document.file_id)
        assert _digest(stored.data) == _digest(content)
        assert stored.name == "big.bin"
        await app.telegram.download(sent.document, destination=tmp_path / "down.bin")
        assert _digest((tmp_path / "down.bin").read_bytes()) == _digest(content)
        await eventually(lambda: _nothing_left(deployment))
        with pytest.raises(TelegramEntityTooLarge, match="more than 50 MB"):
            await app.telegram.send_document(ADA, BufferedInputFile(content + b"!", "bigger.bin"))
        await eventually(lambda: _nothing_left(deployment))


async def test_each_way_to_give_a_file(deployment: Rig) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        one = BufferedInputFile(b"one" * 100_000, "one.bin")
        page = URLInputFile(f"{deployment.sandbox}/sandbox/page/main.js", filename="main.js")
        album = await app.telegram.send_media_group(
            ADA, [InputMediaDocument(media=one), InputMediaDocument(media=page, caption="two")]
        )
        down = [await app.telegram.download(message.document) for message in album]
        assert down[0].read() == b"one" * 100_000
        async with deployment.web.get(page.url) as response:
            assert down[1].read() == await response.read()
        await eventually(lambda: _nothing_left(deployment))


async def test_a_file_that_is_not_there(deployment: Rig, tmp_path) -> None:
    async with deployment.worker(), in_process(deployment.settings()) as app:
        await _started(deployment)
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            await app.telegram.download_file("documents/none")
        assert refused.value.status == 404
        assert "sandbox-bot" not in str(refused.value)
        with pytest.raises(FileNotFoundError):
            await app.telegram.send_document(ADA, FSInputFile(tmp_path / "none"))


async def test_files_have_a_budget(deployment: Rig) -> None:
    deployment.bot_settings["call-file-bytes"] = 1_000_000
    async with in_process(deployment.settings()) as app:
        half = BufferedInputFile(bytes(600_000), "half.bin")
        first = asyncio.create_task(app.telegram.send_document(ADA, half))
        await eventually(lambda: deployment.broker.client.xlen(deployment.keys.calls))
        with pytest.raises(Overloaded, match=r"files of 1000000 bytes already wait"):
            await app.telegram.send_document(ADA, half)
        assert await deployment.broker.client.hget(deployment.keys.call_file_bytes, "all") == b"600000"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await eventually(lambda: _nothing_left(deployment))


async def test_a_file_of_a_hook_is_sent_by_the_worker_itself(deployment: Rig) -> None:
    deployment.apps = {"bot": {"class": "bot_calls_app:Filing", "bot-token": "42:sandbox-bot"}}
    async with deployment.worker():
        await deployment.say("file")
        got = await eventually(lambda: deployment.listed("got"))
        assert got == [_digest(b"from a hook" * 50_000)]
        assert await deployment.broker.client.zcard(deployment.keys.call_files) == 0
