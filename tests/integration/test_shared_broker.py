"""What is demanded of Redis, and waiting for it."""

import asyncio
from pathlib import Path

import hiredis
import pytest
from redis.exceptions import ConnectionError  # noqa: A004 - the name it has there
from structlog.testing import capture_logs

from mini_apps.embedded import EmbeddedValkey, free_port
from shared.broker import Broker, BrokerUnfit, reconnect_delay
from shared.bus import Bus
from shared.settings import RedisSettings
from support import eventually


def at(url: str) -> Broker:
    return Broker(RedisSettings.model_validate({"url": url, "prefix": "t"}))


async def test_a_server_that_comes_later_is_waited_for_in_one_line(tmp_path: Path) -> None:
    port = free_port()
    with capture_logs() as logs:
        opening = asyncio.create_task(at(f"redis://:hidden@127.0.0.1:{port}/0").__aenter__())
        await eventually(lambda: logs)
        await asyncio.sleep(1)  # some more tries, which say nothing
        assert not opening.done()
        with EmbeddedValkey(tmp_path, port=port) as server:
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            async with at(server.url) as broker:
                assert await broker.client.ping()
    assert len(logs) == 1
    assert logs[0]["url"] == f"127.0.0.1:{port}/0"
    assert "hidden" not in str(logs)


async def test_it_opens_when_the_server_comes(tmp_path: Path) -> None:
    port = free_port()
    broker = at(f"redis://127.0.0.1:{port}/0")
    with capture_logs() as logs:
        opening = asyncio.create_task(broker.__aenter__())
        await eventually(lambda: logs)
        with EmbeddedValkey(tmp_path, port=port):
            await asyncio.wait_for(opening, 20)
            assert await broker.client.ping()
            await broker.__aexit__(None, None, None)


@pytest.mark.parametrize("login", ["", ":wrong@", "nobody:wrong@"])
async def test_wrong_credentials_are_not_waited_for(own_valkey: EmbeddedValkey, login: str) -> None:
    async with at(own_valkey.url) as broker:
        await broker.client.config_set("requirepass", "right")
    url = own_valkey.url.replace("redis://", f"redis://{login}")
    with pytest.raises(BrokerUnfit, match=r"redis\.url") as caught:
        async with asyncio.timeout(180), at(url):
            pytest.fail("it let us in")
    assert "wrong" not in str(caught.value)
    async with at(own_valkey.url.replace("redis://", "redis://:right@")) as broker:
        assert await broker.client.ping()


async def test_nothing_is_retried_below_us() -> None:
    """A command whose answer is lost may have been done; doing it again is not for a library to decide."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader(notEnoughData=NotImplemented)
        while not writer.is_closing() and (data := await reader.read(4096)):
            commands.feed(data)
            while (command := commands.gets()) is not NotImplemented:
                seen.append(command[0])
                if command[0] == b"INCR":
                    writer.close()
                else:
                    writer.write(b"+OK\r\n")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        broker = at(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        with pytest.raises(ConnectionError):
            await broker.client.execute_command("INCR", "tries")
        await broker._close()
    assert seen.count(b"INCR") == 1


def test_delays_grow_to_a_second() -> None:
    delays = [reconnect_delay(attempt) for attempt in range(10)]
    assert delays == sorted(delays)
    assert delays[-1] == 1.0


async def test_a_socket_in_the_file_system_is_an_address(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with EmbeddedValkey(tmp_path, more={"unixsocket": str(place)}):
        async with at(f"unix://{place}?db=1") as broker, Bus(broker, "node") as bus:
            assert await bus.call("SET", "t:key", "value") == b"OK"
            assert await broker.client.get("t:key") == b"value"
            assert broker.address == f"{place}/1"
