"""What is demanded of a Redis, by what its INFO says."""

from typing import Any

import pytest

from shared.fitness import keeps_nothing, read_info, unfit


@pytest.mark.parametrize(
    "info",
    [
        {"redis_version": "7.0.0"},
        {"redis_version": "7.4.2", "maxmemory": 1_000_000, "maxmemory_policy": "noeviction"},
        {"redis_version": "7.4.2", "maxmemory": 0, "maxmemory_policy": "allkeys-lru"},  # nothing to make room for
        {"redis_version": "8.0.0-rc1", "role": "master"},
        {"redis_version": "255.255.255"},
        {"redis_version": "7.2.4", "valkey_version": "7.2.0", "server_name": "valkey"},
        {"redis_version": "7.2.4", "valkey_version": "9.0.1", "server_name": "valkey", "cluster_enabled": 0},
    ],
)
def test_servers_that_fit(info: dict[str, Any]) -> None:
    assert unfit(info, sharded=False) is None


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"redis_version": "6.2.14"}, "is Redis 6.2.14; Redis 7.0 or newer is needed"),
        ({"redis_version": "3.0.504"}, "Redis 7.0 or newer"),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, "Valkey 7.2 or newer"),
        ({"redis_version": "7.2.0", "maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, "set maxmemory-policy noevict"),
        ({"redis_version": "7.2.0", "maxmemory": 1, "maxmemory_policy": "volatile-ttl"}, "policy volatile-ttl"),
        ({"redis_version": "7.2.0", "cluster_enabled": 1}, "redis+cluster://"),
        (
            {"redis_version": "7.2.0", "role": "slave", "master_host": "10.0.0.9", "master_port": 6379},
            "a replica of 10.0.0.9:6379",
        ),
    ],
)
def test_servers_that_do_not(info: dict[str, Any], text: str) -> None:
    assert text in str(unfit(info, sharded=False))


def test_a_clusters_server_fits_a_cluster() -> None:
    assert unfit({"redis_version": "7.2.0", "cluster_enabled": 1}, sharded=True) is None
    assert unfit({"redis_version": "7.2.0", "cluster_enabled": 1, "role": "slave"}, sharded=True) is None


def test_without_an_append_only_file_a_restart_loses() -> None:
    assert keeps_nothing({"aof_enabled": 0})
    assert not keeps_nothing({"aof_enabled": 1})


def test_info_is_read_with_numbers_as_such() -> None:
    text = (
        b"# Server\r\nredis_version:7.2.4\r\nmaxmemory:1000\r\n\r\n# Replication\r\nrole:master\r\nmaster_host:::1\r\n"
    )
    found = {"redis_version": "7.2.4", "maxmemory": 1000, "role": "master", "master_host": "::1"}
    assert read_info(text) == found
