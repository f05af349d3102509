"""Every Redis key and pub/sub channel name of a deployment, in one place.

`docs/redis.md` tells type, fields and bound of each. Braces are literal Redis Cluster hash tags; `tag` is the first
eight hex digits of SHA-1 over a name, so the keys of one channel share a slot whatever characters its name has.
"""

import hashlib
from functools import lru_cache

FAST_LANE = -1  # beside lanes 0, 1, …: for what Telegram wants answered at once
EVERYONE_PARTS = 16  # channels of a broadcast in a cluster, of which each node hears one
UPDATE_ID_BLOCK_BITS = 15  # one `seen` bitmap covers 32,768 update ids (4 KiB)


def tag(name: str) -> str:
    """Return the hash tag of a channel or user name: 8 hex digits of SHA-1, spreading, not security."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8]


@lru_cache(maxsize=4096)
def channel_tag(name: str) -> str:
    """Return the hash tag of a channel; there are few, and each message to one needs it."""
    return tag(name)


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
        self.calls = self.base + "{calls}:now"
        self.calls_bulk = self.base + "{calls}:bulk"
        self.call_files = self.base + "{calls}:files"
        self.call_file_bytes = self.base + "{calls}:file-bytes"
        self.budget = self.base + "{calls}:budget"
        self.broadcasts = self.base + "{calls}:broadcasts"
        self.broadcasts_due = self.base + "{calls}:broadcasts:due"
        self.broadcasts_lease = self.base + "{calls}:broadcasts:lease"
        self.broadcasts_fence = self.base + "{calls}:broadcasts:fence"

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
        return f"{self.base}ch:{{{channel_tag(name)}}}:{name}"

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
        """Return the hash from channel (empty: each) to the unix second before which the user's grants are void."""
        return f"{self.base}revoked:{{{tag(str(telegram_id))}}}:{telegram_id}"

    def valid_after(self, telegram_id: int) -> str:
        """Return the key of the unix second before which a user's session tokens are void."""
        return f"{self.base}valid-after:{{{tag(str(telegram_id))}}}:{telegram_id}"

    def notice(self, id: str) -> str:
        """Return the key of which way the notice with this id went."""
        return f"{self.base}notice:{id}"

    def call_done(self, id: str) -> str:
        """Return the hash of who makes or made the Bot API call `id`, and its result."""
        return f"{self.base}{{calls}}:done:{id}"

    def call_file(self, id: str) -> str:
        """Return the hash of the chunks of a file on its way to or from Telegram."""
        return f"{self.base}{{calls}}:file:{id}"

    def updates(self, lane: int) -> str:
        """Return the stream of Telegram updates of one lane."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:updates"

    def seen(self, lane: int, update_id: int) -> str:
        """Return the bitmap that remembers which update ids around `update_id` were taken in."""
        return self.seen_block(lane, update_id >> UPDATE_ID_BLOCK_BITS)

    def seen_block(self, lane: int, block: int | str) -> str:
        """Return the bitmap of one block of update ids."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:seen:{block}"

    def tries(self, lane: int) -> str:
        """Return the hash of failed tries per stream entry of one lane."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:tries"

    def placed(self, lane: int) -> str:
        """Return the hash of what was put into one lane from elsewhere: dead letters, entries of other lanes."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:placed"

    def lane_lease(self, lane: int) -> str:
        """Return the lease of one lane: the worker that owns it."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:lease"

    def lane_fence(self, lane: int) -> str:
        """Return the fence counter of one lane, incremented at each change of owner."""
        return f"{self.base}{{lane-{lane_name(lane)}}}:fence"

    def budget_chat(self, chat: str) -> str:
        """Return the hash of when a chat may get its next message."""
        return f"{self.budget}:chat:{chat}"

    def budget_group(self, chat: str) -> str:
        """Return the list of when a group got its last messages."""
        return f"{self.budget}:group:{chat}"

    def broadcast(self, id: str) -> str:
        """Return the hash of one broadcast job."""
        return f"{self.base}{{calls}}:broadcast:{id}"

    def broadcast_open(self, id: str) -> str:
        """Return the hash of the recipients a broadcast job has begun and not finished."""
        return f"{self.base}{{calls}}:broadcast:{id}:open"

    def broadcast_unknown(self, id: str) -> str:
        """Return the set of recipients of whom nobody knows whether they got a broadcast job's message."""
        return f"{self.base}{{calls}}:broadcast:{id}:unknown"

    def lease(self, name: str) -> str:
        """Return the lease `name` (`poller`, `tasks`) of the app."""
        return f"{self.base}{{{name}}}:lease"

    def fence(self, name: str) -> str:
        """Return the fence counter of the lease `name`."""
        return f"{self.base}{{{name}}}:fence"

    def offset(self, name: str) -> str:
        """Return the position kept with the lease `name`: for `poller` the next `update_id` to ask for."""
        return f"{self.base}{{{name}}}:offset"


def lane_name(lane: int) -> str:
    """Return what a lane is called in keys and dead letters."""
    return "fast" if lane == FAST_LANE else str(lane)


class Keys:
    """Names of one deployment, `{prefix}:…`; deployment-wide ones live under `{prefix}:_:`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._apps: dict[str, AppKeys] = {}
        self.nodes = f"{prefix}:_:nodes"
        self.tap = f"{prefix}:_:tap"
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

    def beat(self, node_id: str, tag: str = "") -> str:
        """Return the pub/sub channel over which a process hears itself; in a cluster one a shard, by a hash tag."""
        return f"{self.prefix}:_:beat:{{{tag}}}:{node_id}" if tag else f"{self.prefix}:_:beat:{node_id}"

    def inbox(self, node_id: str) -> str:
        """Return the pub/sub channel of the answers to what a process asked others."""
        return f"{self.prefix}:_:inbox:{node_id}"
