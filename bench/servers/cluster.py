"""A cluster of masters with replicas."""

from functools import partial
from pathlib import Path
from typing import Any

from bench.servers.server import DOWN_AFTER_MS, MAX_LAG_SECONDS, Server, Topology, takes_writes, wait_until
from mini_apps.embedded import free_port
from shared.slots import SLOTS


class ClusterSet(Topology):
    """A cluster.

    Args:
        folder: for their files.
        masters: how many servers have slots.
        replicas: how many replicas each of them has.
    """

    def __init__(self, folder: Path, *, masters: int = 3, replicas: int = 1) -> None:
        super().__init__(folder)
        self._masters = masters
        self._replicas = replicas
        for number in range(masters * (replicas + 1)):
            more: dict[str, str | int] = {
                "cluster_enabled": "yes",
                "cluster_port": free_port(),
                "cluster_node_timeout": DOWN_AFTER_MS,
                "cluster_require_full_coverage": "no",
                "repl_diskless_sync_delay": 0,
                "repl_ping_replica_period": 1,
                "min_replicas_to_write": 1 if replicas else 0,
                "min_replicas_max_lag": MAX_LAG_SECONDS,
            }
            self.servers.append(Server(folder / f"server-{number}", **more))

    @property
    def url(self) -> str:
        """The address, as `redis.url`."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])

    def start(self) -> None:
        """Start the servers, make a cluster of them and wait until all of them know it."""
        for number, server in enumerate(self.servers):
            server.start()
            server.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.servers:
            for other in self.servers:
                if other is not server:
                    bus = other.more["cluster-port"]
                    server.client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        masters = self.servers[: self._masters]
        for number, server in enumerate(masters):
            first, last = (SLOTS * at // len(masters) for at in (number, number + 1))
            server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        wait_until(lambda: all(len(self._known_to(server)) == len(self.servers) for server in self.servers), "meeting")
        for number, server in enumerate(self.servers[self._masters :]):
            server.client.execute_command("CLUSTER", "REPLICATE", self.id_of(masters[number % len(masters)]))
        wait_until(self.whole, "the cluster forming")

    def whole(self) -> bool:
        """Whether every server sees every slot served, and every primary has its replicas."""
        for server in self.servers:
            state: Any = server.client.execute_command("CLUSTER INFO")
            if state["cluster_state"] != "ok" or int(state["cluster_slots_ok"]) != SLOTS:
                return False
        return all(takes_writes(server, self._replicas) for server in self.primaries())

    def primaries(self) -> list[Server]:
        """Return the servers that have slots, in the order of these, as the first living one sees it."""
        living = next(server for server in self.servers if server.process is not None)
        return [self.server(int(entry[2][1])) for entry in self._slots(living)]

    def owner(self, slot: int) -> Server:
        """Return the server that has a slot."""
        living = next(server for server in self.servers if server.process is not None)
        return next(self.server(int(e[2][1])) for e in self._slots(living) if int(e[0]) <= slot <= int(e[1]))

    def heal(self) -> None:
        """Start what was killed once its slots are served elsewhere, and wait until the cluster is whole."""
        for server in [server for server in self.servers if server.process is None]:
            self.await_another_master(server)
            server.start()
        wait_until(self.whole, "the cluster being whole again")

    def await_another_master(self, than: Server) -> None:
        """Wait until every living server sees the slots of one with another."""
        wait_until(partial(self._replaced, than), "a failover")

    def replicas_of(self, server: Server) -> list[Server]:
        """Return the servers that follow one."""
        lines: Any = server.client.info("replication")
        return [self.server(int(lines[f"slave{number}"]["port"])) for number in range(lines["connected_slaves"])]

    def _replaced(self, server: Server) -> bool:
        others = [other for other in self.servers if other.process is not None and other is not server]
        return not any(int(entry[2][1]) == server.port for other in others for entry in self._slots(other))

    def id_of(self, server: Server) -> str:
        """Return the name of a server within the cluster."""
        return str(server.client.execute_command("CLUSTER MYID"))

    def move(self, slot: int, to: Server) -> None:
        """Give a slot with all its keys to another primary, as `valkey-cli --cluster reshard` does."""
        source = self.owner(slot)
        to.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))
        self.move_keys(slot, source, to)
        for server in (to, source, *self.primaries()):
            server.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))

    def move_keys(self, slot: int, source: Server, to: Server) -> None:
        """Move the keys of a slot that is on its way."""
        while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)

    def _known_to(self, server: Server) -> list[str]:
        raw: Any = server.client.execute_command("CLUSTER NODES")
        lines = raw.items() if isinstance(raw, dict) else []
        return [name for name, about in lines if "handshake" not in about["flags"] and about["connected"]]

    def _slots(self, server: Server) -> list[Any]:
        connection: Any = server.client.connection_pool.get_connection()
        try:
            connection.send_command("CLUSTER", "SLOTS")
            found: list[Any] = connection.read_response()
        finally:
            server.client.connection_pool.release(connection)
        return sorted(found, key=lambda entry: int(entry[0]))
