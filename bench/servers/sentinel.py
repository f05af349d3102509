"""A master, replicas, and the sentinels that look after them."""

from pathlib import Path
from typing import Any

from redis import Redis

from bench.servers.server import DOWN_AFTER_MS, MAX_LAG_SECONDS, Server, Topology, takes_writes, wait_until

MASTER = "mesh"  # what the sentinels call it


class SentinelSet(Topology):
    """A master, replicas, and the sentinels that look after them.

    Args:
        folder: for their files.
        replicas: how many.
        password: of the servers' and sentinels' default user, empty for none.
        min_replicas: without so many the master takes no writes.
    """

    def __init__(self, folder: Path, *, replicas: int = 2, password: str = "", min_replicas: int = 1) -> None:
        super().__init__(folder)
        self.password = password
        more: dict[str, str | int] = {
            "repl_diskless_sync_delay": 0,
            "min_replicas_to_write": min_replicas,
            "min_replicas_max_lag": MAX_LAG_SECONDS,
            "repl_ping_replica_period": 1,
        }
        if password:
            more |= {"requirepass": password, "masterauth": password}
        self.data = [Server(folder / f"data-{number}", **more) for number in range(replicas + 1)]
        self.sentinels = [Server(folder / f"sentinel-{number}") for number in range(3)]
        self.servers = [*self.sentinels, *self.data]
        if password:
            for server in self.servers:
                server.client = Redis(port=server.port, password=password, socket_timeout=5, decode_responses=True)

    @property
    def url(self) -> str:
        """The address, as `redis.url`."""
        login = f":{self.password}@" if self.password else ""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{login}{hosts}/{MASTER}/0"

    def master(self) -> Server:
        """Return the server that has the role now, as most sentinels see it."""
        named = [self._named_by(sentinel) for sentinel in self.sentinels if sentinel.process is not None]
        return self.server(max(named, key=named.count))

    def owner(self, slot: int) -> Server:  # noqa: ARG002 - here all slots have one
        """Return the server that has a slot: the master."""
        return self.master()

    def replicas_of(self, server: Server) -> list[Server]:
        """Return the living servers that follow one."""
        return [other for other in self.data if other is not server and other.process is not None]

    def await_another_master(self, than: Server) -> None:
        """Wait until the sentinels have made another server the master."""
        wait_until(lambda: self.master() is not than, "a failover")

    def fail_over(self) -> None:
        """Let the sentinels replace a master that is well."""
        old = self.master()
        wait_until(
            lambda: self.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", MASTER), "a failover's start"
        )
        self.await_another_master(old)

    def heal(self) -> None:
        """Start what was killed, and wait until all follow one master again."""
        dead = [server for server in self.data if server.process is None]
        for server in dead:
            self.await_another_master(server)
            server.start()
        wait_until(self._healthy, "the replicas following the master")

    def _healthy(self) -> bool:
        master = self.master()
        followers = [server.client.info("replication") for server in self.data if server is not master]
        complete = (
            all(map(self._complete, self.sentinels)) and self.master().client.info("replication")["role"] == "master"
        )
        return (
            complete
            and takes_writes(master, 1)
            and all(
                info["role"] == "slave" and info["master_port"] == master.port and info["master_link_status"] == "up"
                for info in followers
            )
        )

    def _named_by(self, sentinel: Server) -> int:
        found: Any = sentinel.client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return int(found[1])

    def start(self) -> None:
        """Start them and wait until each sentinel knows the replicas and the other sentinels."""
        master, *others = self.data
        for server in self.data:
            server.start()
        for replica in others:
            replica.client.execute_command("REPLICAOF", "127.0.0.1", master.port)
        self.await_replicas(len(others))
        for number, sentinel in enumerate(self.sentinels):
            self._start_sentinel(number, sentinel, master.port)
        wait_until(lambda: all(map(self._complete, self.sentinels)), "the sentinels knowing each other")

    def _start_sentinel(self, number: int, sentinel: Server, port: int) -> None:
        config = sentinel.folder / "sentinel.conf"
        lines = [
            f"sentinel myid {number + 1:040x}",
            f"sentinel monitor {MASTER} 127.0.0.1 {port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        if self.password:
            lines += [f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}"]
            lines += [f"sentinel auth-pass {MASTER} {self.password}"]
        config.write_text("\n".join(lines) + "\n")
        sentinel.first = [str(config), "--sentinel"]
        sentinel.start()
        for period in ("PUBLISH-PERIOD", "INFO-PERIOD", "PING-PERIOD"):
            sentinel.client.execute_command("SENTINEL", "DEBUG", period, 200)

    def _complete(self, sentinel: Server) -> bool:
        raw: Any = sentinel.client.execute_command("SENTINEL", "MASTER", MASTER)
        state = raw if isinstance(raw, dict) else dict(zip(raw[::2], raw[1::2], strict=True))
        return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == len(self.data) - 1

    def await_replicas(self, count: int) -> None:
        """Wait until so many replicas follow the first server that is a master."""

        def follow() -> bool:
            masters = [server for server in self.data if server.client.info("replication")["role"] == "master"]
            info: Any = masters[0].client.info("replication")
            lines = [info.get(f"slave{number}", {}) for number in range(count)]
            return all(line.get("state") == "online" for line in lines)

        wait_until(follow, "the replicas following")
