"""Rubbish of every kind against a real node: it serves on, fails nowhere, and says only documented codes."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.frames import Frame, Opcode

from mini_apps.embedded import EmbeddedValkey
from mini_apps.testing import sign_init_data
from nodes import Cluster, RunningNode
from shared.close_codes import CloseCode
from support import TOKEN

SOCKETS = 120
SEEDS = (1, 2)
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + KEY
NAMES = ["open:a", "kept:a", "", "x" * 10_000, "\u202eabc", "a\nb", "\U0001f600" * 64, "kept:../..", "*", "kept:{a}"]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**53,
    2**64 - 1,
    -(2**63),
    1.5,
    1e308,
    "",
    "x" * 300,
    [],
    {},
    [[[]]],
    {"a": {}},
]
TYPES = [
    "login",
    "subscribe",
    "unsubscribe",
    "ping",
    "pong",
    "ack",
    "echo",
    "join",
    "leave",
    "post",
    "look",
    "close",
    "",
]
FIELDS = [
    "id",
    "app",
    "channel",
    "channels",
    "offset",
    "grant",
    "data",
    "session",
    "ack",
    "room",
    "value",
    "code",
    "type",
]


@pytest.fixture
async def node(valkey: EmbeddedValkey, prefix: str, tmp_path: Path) -> AsyncIterator[RunningNode]:
    cluster = Cluster(tmp_path, valkey.url, prefix)
    yield await cluster.node()
    await cluster.aclose()


def _login(user: int) -> dict[str, Any]:
    data = sign_init_data(TOKEN, user={"id": user, "first_name": "Fuzz"})
    return {"type": "login", "app": "chat", "data": data}


def _message(dice: random.Random) -> Any:
    if dice.random() < 0.1:
        return dice.choice(VALUES)
    message: dict[str, Any] = {"type": dice.choice(TYPES)}
    for field in dice.sample(FIELDS, dice.randrange(5)):
        message[field] = dice.choice([*VALUES, *NAMES, "chat", {dice.choice(NAMES): {"offset": dice.choice(VALUES)}}])
    return message


def _body(dice: random.Random, *, packed: bool) -> bytes:
    deep = dice.random() < 0.05
    if packed:
        body: bytes = b"\x91" * 3000 + b"\x90" if deep else msgpack.packb(_message(dice))
    else:
        body = b"[" * 3000 if deep else json.dumps(_message(dice)).encode()
    if dice.random() < 0.2:
        broken = bytearray(body)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        body = bytes(broken)
    return body


def _frames(dice: random.Random, *, packed: bool) -> bytes:
    kind = dice.random()
    body = _body(dice, packed=packed)
    opcode = Opcode.BINARY if packed != (kind < 0.03) else Opcode.TEXT
    if kind < 0.75:
        return Frame(opcode, body).serialize(mask=True)
    if kind < 0.85:
        cut = dice.randrange(len(body) + 1)
        first, last = Frame(opcode, body[:cut], fin=False), Frame(Opcode.CONT, body[cut:], fin=dice.random() < 0.9)
        return first.serialize(mask=True) + last.serialize(mask=True)
    if kind < 0.9:
        return Frame(dice.choice([Opcode.PING, Opcode.PONG]), dice.randbytes(dice.randrange(126))).serialize(mask=True)
    if kind < 0.93:
        return Frame(Opcode.CLOSE, dice.choice([b"", b"\x03\xe8", b"\x00\x01", b"\x03", b"\x03\xe8\xff"])).serialize(
            mask=True
        )
    if kind < 0.96:
        return Frame(opcode, body).serialize(mask=False)
    return dice.randbytes(dice.randrange(1, 200))


async def _one(node: RunningNode, dice: random.Random, number: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.process.port)
    packed = dice.random() < 0.3
    protocol = b"Sec-WebSocket-Protocol: mini-apps.msgpack\r\n" if packed else b""
    out = UPGRADE + protocol + b"Sec-WebSocket-Version: 13\r\n\r\n"
    if dice.random() < 0.1:
        out = dice.choice(
            [dice.randbytes(100) + b"\r\n\r\n", b"POST /ws HTTP/1.1\r\n\r\n", out.replace(b"13", b"12"), out + out]
        )
    if dice.random() < 0.8:
        login = _login(number)
        body = msgpack.packb(login) if packed else json.dumps(login).encode()
        out += Frame(Opcode.BINARY if packed else Opcode.TEXT, body).serialize(mask=True)
    out += b"".join(_frames(dice, packed=packed) for _ in range(dice.randrange(1, 30)))
    while out:
        size = dice.randrange(1, 2000)
        writer.write(out[:size])
        out = out[size:]
        await asyncio.sleep(0)
    if dice.random() < 0.7 and writer.can_write_eof():
        writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        writer.write_eof()
        answer = b""
        try:
            async with asyncio.timeout(180):
                answer = await reader.read()
        except ConnectionError:
            pass
        writer.close()
        return answer
    writer.transport.abort()
    return b""


@pytest.mark.parametrize("seed", SEEDS)
async def test_rubbish_hurts_nobody_else(
    node: RunningNode, seed: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(seed)
    known = {int(code) for code in CloseCode}
    async with node.user(1) as other:
        for start in range(0, SOCKETS, 20):
            seeds = [(number, dice.getrandbits(32)) for number in range(start, start + 20)]
            answers = await asyncio.gather(*(_one(node, random.Random(s), 10_000 + n) for n, s in seeds))
            for answer in answers:
                for part in answer.split(b'"code":')[1:]:
                    digits = part[:4]
                    assert not digits.isdigit() or int(digits) in known, part[:80]
            await other.send(type="echo", value=start, id=start)
            assert (await other.receive("reply", id=start))["data"] == start
    assert [record for record in caplog.records if record.name == "asyncio" and record.levelno >= logging.ERROR] == []
    printed = "".join(capsys.readouterr())
    for failure in ("a task of the node failed", "a login failed", "could not be"):
        assert failure not in printed
