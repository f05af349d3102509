"""TLS, certificates of both sides and an ACL user that may do no more than the documentation's line allows."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from bench.servers import Server
from certificates import Certificates, make_certificates
from shared.broker import Broker, BrokerUnfit
from shared.settings import RedisSettings
from tls_front import tls_front
from topology_rig import deployed, put_through_its_paces

pytestmark = pytest.mark.xdist_group("tls")
PASSWORD = "correct horse"
PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


def acl_line() -> list[str]:
    """Return the words of the documented user, whose keys begin with `ma`."""
    (line,) = re.findall(r"^user mini-apps (on .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return str(line).split()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def prefix() -> str:
    """The one that the documented user may use."""
    return "ma"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server with the documented user, and nobody else."""
    with Server(tmp_path / "server") as running:
        words = [word.replace("PASSWORD", PASSWORD) for word in acl_line()]
        async with Redis(port=running.port) as admin:
            await admin.execute_command("ACL", "SETUSER", "mini-apps", *words)
            await admin.execute_command("ACL", "SETUSER", "default", "off")
        yield running


def files(certificates: Certificates) -> dict[str, str]:
    return {
        "tls_ca": str(certificates.ca),
        "tls_cert": str(certificates.client),
        "tls_key": str(certificates.client_key),
    }


def at(port: int, scheme: str = "rediss", **more: str) -> RedisSettings:
    url = f"{scheme}://mini-apps:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/0"
    return RedisSettings.model_validate({"url": url, "prefix": "ma", **more})


async def test_a_deployment_does_everything_over_tls_as_the_documented_user(
    server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    async with tls_front(server.port, certificates) as port:
        settings = at(port)
        more = {f"REDIS__{name.upper()}": value for name, value in files(certificates).items()}
        async with deployed(tmp_path, settings.url.get_secret_value(), "ma", **more) as deployment:
            await put_through_its_paces(deployment)


async def test_the_documented_user_may_do_nothing_else(server: Server) -> None:
    async with Redis(port=server.port, username="mini-apps", password=PASSWORD) as client:
        assert await client.set("ma:chat:own:a", "1")
        for command in (
            ("SET", "other", "1"),
            ("EVAL", "return redis.call('GET', KEYS[1])", "1", "other"),
            ("PUBLISH", "other", "1"),
            ("KEYS", "ma:*"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("CLIENT", "LIST"),
            ("SCRIPT", "FLUSH"),
            ("SHUTDOWN",),
            ("MONITOR",),
        ):
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command)


async def _refusal(settings: RedisSettings) -> str:
    with pytest.raises(BrokerUnfit) as caught:
        async with asyncio.timeout(10), Broker(settings):
            pytest.fail("it was taken")
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


async def test_what_is_wrong_with_tls_is_one_clear_line(
    server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    others = make_certificates(tmp_path / "others")
    async with tls_front(server.port, certificates) as port:
        assert "not trusted" in await _refusal(at(port))
        assert "redis.tls-ca" in await _refusal(at(port, **{**files(certificates), "tls_ca": str(others.ca)}))
        assert f"no file {tmp_path}/none" in await _refusal(at(port, tls_ca=f"{tmp_path}/none"))


async def test_a_server_without_tls_is_one_clear_line(certificates: Certificates) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"-ERR unknown command\r\n")  # as Redis does, if by chance there is the end of a line in it

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "does not speak TLS" in await _refusal(at(port, **files(certificates)))
