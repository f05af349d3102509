"""Where Redis is, as `redis.url` says it."""

import pytest

from shared.redis_url import Address, RedisUrl, parse


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (
            "redis+sentinel://one,two:26380/mymaster",
            RedisUrl("sentinel", tls=False, hosts=(Address("one", 26379), Address("two", 26380)), master="mymaster"),
        ),
        (
            "rediss+sentinel://app:p%40ss%2Cword@[::1]:1,two:2/mymaster/3",
            RedisUrl(
                "sentinel",
                tls=True,
                hosts=(Address("::1", 1), Address("two", 2)),
                username="app",
                password="p@ss,word",
                master="mymaster",
                db=3,
            ),
        ),
        (
            "redis+cluster://one,two:7001",
            RedisUrl("cluster", tls=False, hosts=(Address("one", 6379), Address("two", 7001))),
        ),
        (
            "rediss+cluster://:secret@one:7000/",
            RedisUrl("cluster", tls=True, hosts=(Address("one", 7000),), password="secret"),
        ),
        ("rediss://one", RedisUrl("single", tls=True, hosts=())),
    ],
)
def test_addresses(url: str, found: RedisUrl) -> None:
    assert parse(url) == found
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://secret@one:26379", "master's name"),
        ("redis+sentinel://secret@one/mymaster/x", "master's name"),
        ("redis+sentinel://secret@/mymaster", "hosts such as redis\\+sentinel://one:26379,two"),
        ("redis+sentinel://secret@one:port/mymaster", "hosts such as"),
        ("redis+cluster://secret@one,,two", "hosts such as redis\\+cluster://one:6379"),
        ("redis+cluster://secret@one/1", "database 0 only"),
        ("redis+cluster://secret@one?ssl=true", "nothing behind"),
        ("redis+cluster://[secret", "an address such as"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        parse(url)
    assert "secret" not in str(caught.value)
