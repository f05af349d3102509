"""Every Redis key and pub/sub channel name of a deployment, in one place.

`docs/redis.md` tells type, fields and bound of each. Braces are literal Redis Cluster hash tags; `tag` is the first
eight hex digits of SHA-1 over a name, so the keys of one channel share a slot whatever characters its name has.
"""

import hashlib

UPDATE_ID_BLOCK_BITS = 15  # one `seen` bitmap covers 32,768 update ids (4 KiB)


def tag(name: str) -> str:
    """Return the hash tag of a channel or user name: 8 hex digits of SHA-1, spreading, not security."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8]


class AppKeys:
    """Names under `{prefix}:{app}:`."""

    def __init__(self, prefix: str, app: str) -> None:
        self.app = app
        self.base = f"{prefix}:{app}:"
        self.bot = self.base + "bot"
        self.banned = self.base + "banned"
        self.admins = self.base + "admins"
        self.lanes = self.base + "lanes"
        self.dead = self.base + "dead"
        self.commands = self.base + "commands"
        self.workers = self.base + "workers"
        self.fsm = self.base + "fsm"
        self.signals = self.base + "signals"
        self.leaving = self.base + "leaving"
        self.presence_nodes = self.base + "presence-nodes"
        self.online = self.base + "{online}:users"
        self.online_holders = self.base + "{online}:holders"
        self.online_leaving = self.base + "{online}:leaving"

    def own(self, name: str) -> str:
        """Return the author's own key `name`."""
        return f"{self.base}own:{name}"

    def everyone(self, part: int = 0) -> str:
        """Return the pub/sub channel of broadcasts; `part` 0…15 matters in Redis Cluster only."""
        return f"{self.base}all:{part}"

    def user(self, telegram_id: int) -> str:
        """Return the pub/sub channel of one user's clients."""
        return f"{self.base}user:{{{tag(str(telegram_id))}}}:{telegram_id}"

    def channel(self, name: str) -> str:
        """Return the pub/sub channel that carries the live messages of the app's channel `name`."""
        return f"{self.base}ch:{{{tag(name)}}}:{name}"

    def channel_stream(self, name: str) -> str:
        """Return the stream that keeps the history of the app's channel `name`."""
        return f"{self.base}channel:{{{tag(name)}}}:{name}"

    def channel_meta(self, name: str) -> str:
        """Return the hash with the last offset of the app's channel `name`."""
        return f"{self.base}meta:{{{tag(name)}}}:{name}"

    def channel_ids(self, name: str, bucket: int) -> str:
        """Return the hash from publish id to offset of one five minutes (unix time // 300) of a channel."""
        return f"{self.base}ids:{{{tag(name)}}}:{name}:{bucket}"

    def presence(self, channel: str) -> str:
        """Return the hash from user to JSON of who is present in the app's channel."""
        return f"{self.base}presence:{{{tag(channel)}}}:{channel}"

    def holders(self, channel: str) -> str:
        """Return the hash from user to the nodes that have clients of theirs in the channel."""
        return f"{self.base}holders:{{{tag(channel)}}}:{channel}"

    def holds(self, owner: str) -> str:
        """Return the set of what one node holds: user and channel."""
        return f"{self.base}holds:{owner}"

    def revoked(self, telegram_id: int) -> str:
        """Return the hash from channel to the unix second before which the user's grants for it are void."""
        return f"{self.base}revoked:{{{tag(str(telegram_id))}}}:{telegram_id}"

    def valid_after(self, telegram_id: int) -> str:
        """Return the key of the unix second before which a user's session tokens are void."""
        return f"{self.base}valid-after:{{{tag(str(telegram_id))}}}:{telegram_id}"

    def updates(self, lane: int) -> str:
        """Return the stream of Telegram updates of one lane."""
        return f"{self.base}{{lane-{lane}}}:updates"

    def seen(self, lane: int, update_id: int) -> str:
        """Return the bitmap that remembers which update ids around `update_id` were taken in."""
        return f"{self.base}{{lane-{lane}}}:seen:{update_id >> UPDATE_ID_BLOCK_BITS}"

    def tries(self, lane: int) -> str:
        """Return the hash of failed tries per stream entry of one lane."""
        return f"{self.base}{{lane-{lane}}}:tries"

    def lane_lease(self, lane: int) -> str:
        """Return the lease of one lane: the worker that owns it."""
        return f"{self.base}{{lane-{lane}}}:lease"

    def lane_fence(self, lane: int) -> str:
        """Return the fence counter of one lane, incremented at each change of owner."""
        return f"{self.base}{{lane-{lane}}}:fence"

    def lease(self, name: str) -> str:
        """Return the lease `name` (`poller`, `tasks`) of the app."""
        return f"{self.base}{{{name}}}:lease"

    def fence(self, name: str) -> str:
        """Return the fence counter of the lease `name`."""
        return f"{self.base}{{{name}}}:fence"

    def offset(self, name: str) -> str:
        """Return the position kept with the lease `name`: for `poller` the next `update_id` to ask for."""
        return f"{self.base}{{{name}}}:offset"


class Keys:
    """Names of one deployment, `{prefix}:…`; deployment-wide ones live under `{prefix}:_:`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._apps: dict[str, AppKeys] = {}
        self.nodes = f"{prefix}:_:nodes"
        self.tables = f"{prefix}:_:{{tables}}:lease"
        self.tables_fence = f"{prefix}:_:{{tables}}:fence"

    def app(self, name: str) -> AppKeys:
        """Return the names of one app; made once, since every publish asks."""
        found = self._apps.get(name)
        if found is None:
            found = self._apps[name] = AppKeys(self.prefix, name)
        return found

    def node(self, node_id: str) -> str:
        """Return the hash that describes a live process."""
        return f"{self.prefix}:_:node:{node_id}"

    def beat(self, node_id: str) -> str:
        """Return the pub/sub channel over which a process hears its own heartbeat."""
        return f"{self.prefix}:_:beat:{node_id}"
